"""An OpenAI-compatible server on loopback that answers by script, faults included."""

import json
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


@dataclass(frozen=True)
class Step:
    """One answer: a reply, or a way to go wrong."""

    text: str | None = ""
    finish: str | None = "stop"
    status: int = 200
    code: str = ""
    message: str = "scripted"
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    """``drop`` closes without a word, ``half`` sends half a body, ``garbage`` a body that is no
    JSON, ``empty`` an object without choices, ``hang`` nothing for a while."""
    tool: str = ""
    refusal: str = ""
    usage: tuple[int, int] | None = (100, 50)
    hang_s: float = 1.0


Script = Callable[[int, dict[str, Any]], Step]


class Server:
    """Counts and keeps requests; answers with the script's step for each."""

    def __init__(self, script: Script | Sequence[Step], *, keep: int = 10_000) -> None:
        if callable(script):
            self._script: Script = script
        else:
            steps = list(script)
            self._script = lambda n, _: steps[min(n, len(steps) - 1)]
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.n = 0
        self._keep = keep
        self._lock = Lock()
        self.url = ""

    def step(self, request: dict[str, Any], headers: dict[str, str]) -> Step:
        """Take a request and return its step."""
        with self._lock:
            number, self.n = self.n, self.n + 1
            if len(self.requests) < self._keep:
                self.requests.append(request)
                self.headers.append(headers)
            return self._script(number, request)


class _Handler(BaseHTTPRequestHandler):
    scripted: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        self._send(200, {"object": "list", "data": [{"id": "scripted-1", "object": "model"}]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        request = json.loads(body)
        step = self.scripted.step(request, dict(self.headers))
        if step.fault == "drop":
            self._reset()
        elif step.fault == "hang":
            import time

            time.sleep(step.hang_s)
            self._reset()
        elif step.status != 200:
            error = {"message": step.message, "type": "scripted", "code": step.code or None}
            self._send(step.status, {"error": error}, step.headers)
        elif step.fault in ("garbage", "half"):
            self._raw(step)
        elif step.fault == "empty":
            self._send(200, {"id": "x", "object": "chat.completion", "choices": []})
        elif request.get("stream"):
            self._stream(step)
        else:
            self._send(200, completion(step))

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def _send(
        self, status: int, data: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _raw(self, step: Step) -> None:
        whole = json.dumps(completion(step)).encode()
        body = whole[: len(whole) // 2]
        self.send_response(200)
        self.send_header("content-type", "application/json")
        length = len(body) if step.fault == "garbage" else len(whole)
        self.send_header("content-length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        if step.fault == "half":
            self._reset()

    def _stream(self, step: Step) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        text = step.text or ""
        for at in range(0, max(len(text), 1), 16):
            self._event({"delta": {"content": text[at : at + 16]}, "finish_reason": None})
        if step.finish is not None:
            self._event({"delta": {}, "finish_reason": step.finish})
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, choice: dict[str, Any]) -> None:
        data = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        data["choices"] = [{"index": 0, **choice}]  # type: ignore[assignment]
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())


def completion(step: Step) -> dict[str, Any]:
    """Return a step's reply as the server's body."""
    message: dict[str, Any] = {"role": "assistant", "content": step.text}
    if step.tool:
        call = {"name": step.tool, "arguments": "{}"}
        calls = [{"id": "1", "type": "function", "function": call}]
        message |= {"content": None, "tool_calls": calls}
    if step.refusal:
        message |= {"content": None, "refusal": step.refusal}
    body: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted-1",
        "choices": [{"index": 0, "message": message, "finish_reason": step.finish}],
    }
    if step.usage is not None:
        names = ("prompt_tokens", "completion_tokens")
        counts = dict(zip(names, step.usage, strict=True))
        body["usage"] = {**counts, "total_tokens": sum(step.usage)}
    return body


@contextmanager
def serving(script: Script | Sequence[Step], *, keep: int = 10_000) -> Iterator[Server]:
    """Serve a script on a free port of loopback."""
    scripted = Server(script, keep=keep)
    handler = type("Handler", (_Handler,), {"scripted": scripted})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    httpd.daemon_threads = True
    scripted.url = f"http://127.0.0.1:{httpd.server_address[1]}/v1"
    thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield scripted
    finally:
        httpd.shutdown()
        httpd.server_close()


@dataclass
class Clock:
    """Time that passes only by waiting."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)
