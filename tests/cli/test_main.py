"""The `pim` command as a user meets it: arguments, exit codes, one line for a mistake, a file with `--json`."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pim_runtime.cli import main as main_module
from pim_runtime.cli.main import main
from pim_runtime.cli.output import Check, Report, Section
from pim_runtime.errors import KernelError, LinkError

pytestmark = pytest.mark.quick


def report(*, passed):
    return Report(title="Title", sections=(Section(title="S", checks=(Check(name="c", passed=passed),)),))


@pytest.fixture
def command(monkeypatch):
    """`command(run)` makes `pim work` the only subcommand."""

    def install(run):
        module = SimpleNamespace(
            NAME="work",
            HELP="does work",
            run=run,
            add_arguments=lambda parser: parser.add_argument("--size", type=int, default=1),
        )
        monkeypatch.setattr(main_module, "COMMANDS", (module,))

    return install


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_the_checks_passed(command, capsys, passed, code):
    command(lambda arguments: report(passed=passed))
    assert main(["work"]) == code
    assert capsys.readouterr().out.startswith("Title\n=====\n")


def test_arguments_reach_the_command(command, capsys):
    command(lambda arguments: Report(title=f"size {arguments.size}", sections=()))
    assert main(["work", "--size", "7"]) == 0
    assert capsys.readouterr().out == "size 7\n======\n"


@pytest.mark.parametrize(
    "error",
    [
        LinkError("too large"),
        KernelError("no floats"),
        ValueError("size is -1"),
        FileNotFoundError(2, "No such file", "x.toml"),
    ],
)
def test_a_users_mistake_is_one_line_and_no_traceback(command, capsys, error):
    def run(arguments):
        raise error

    command(run)
    assert main(["work"]) == 2
    assert capsys.readouterr() == ("", f"pim work: {error}\n")


def test_our_own_mistake_keeps_its_traceback(command):
    def run(arguments):
        raise AssertionError("a bug")

    command(run)
    with pytest.raises(AssertionError, match="a bug"):
        main(["work"])


def test_interrupt_ends_with_130(command, capsys):
    def run(arguments):
        raise KeyboardInterrupt

    command(run)
    assert main(["work"]) == 130
    assert capsys.readouterr() == ("", "pim work: interrupted\n")


@pytest.mark.parametrize("passed", [True, False])
def test_json_is_written_whatever_the_checks_say(command, tmp_path, passed):
    command(lambda arguments: report(passed=passed))
    main(["work", "--json", str(tmp_path / "out.json")])
    content = json.loads((tmp_path / "out.json").read_text())
    assert (content["command"], content["passed"]) == ("work", passed)


@pytest.mark.parametrize(("file", "reason"), [("missing/out.json", "its folder does not exist"), (".", "is a folder")])
def test_json_is_refused_before_the_work_starts(command, tmp_path, monkeypatch, capsys, file, reason):
    def run(arguments):
        raise AssertionError("the work started")

    command(run)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_info:
        main(["work", "--json", file])
    assert exit_info.value.code == 2
    assert reason in capsys.readouterr().err


def test_help_lists_every_command_and_version_names_the_package(capsys):
    for argument, expected in (("--help", "info"), ("--version", "pim-runtime ")):
        with pytest.raises(SystemExit) as exit_info:
            main([argument])
        assert exit_info.value.code == 0
        assert expected in capsys.readouterr().out


def test_no_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([])
    assert exit_info.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_every_command_takes_json_and_starts_without_numba():
    code = (
        "import sys; from pim_runtime.cli.main import COMMANDS, main\n"
        "for command in COMMANDS:\n"
        "    try: main([command.NAME, '--help'])\n"
        "    except SystemExit: pass\n"
        "assert 'numba' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.count("--json FILE") == 2 * len(main_module.COMMANDS)


def test_a_reader_that_leaves_early_is_no_error():
    code = "import sys; from pim_runtime.cli.main import main; sys.exit(main(['info', '--profile', 'upmem-v1a']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, b"")
