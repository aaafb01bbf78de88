"""A web server that serves one file, resumes it, and breaks off where it is told to."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves ``content`` under any path on 127.0.0.1.

    Attributes:
        content: What is served.
        entity_tag: Its version, sent as ETag.
        breaks_after: Bytes of each coming answer after which the connection is cut; answers beyond the list are whole.
        pause_after: Bytes after which an answer comes to a halt until the server ends, None for no halt.
        resumes: Whether it answers ranges.
        keeps_to_the_version: Whether it answers them only for the version that is asked for.
        range_starts_off: Bytes by which its ranges start behind what is asked.
        tells_length: Whether it says how many bytes come.
        status: What it answers with, None for the file.
        content_type: Of the answer.
        ranges: The Range header of each request so far, None where there was none.
    """

    def __init__(self, content):
        self.content = content
        self.entity_tag = '"1"'
        self.breaks_after = []
        self.pause_after = None
        self.resumes = True
        self.keeps_to_the_version = True
        self.range_starts_off = 0
        self.tells_length = True
        self.status = None
        self.content_type = "application/octet-stream"
        self.ranges = []
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self):
        return f"http://127.0.0.1:{self._server.server_port}/released.pth"

    def _handler(server):  # noqa: N805 - the handler's self is another
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.ranges.append(self.headers["Range"])
                if server.status:
                    self.send_error(server.status)
                    return
                start = self._start()
                self.send_response(206 if start else 200)
                if start:
                    whole = len(server.content)
                    self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
                if server.tells_length:
                    self.send_header("Content-Length", str(len(server.content) - start))
                self.send_header("Content-Type", server.content_type)
                if server.entity_tag:
                    self.send_header("ETag", server.entity_tag)
                self.end_headers()
                if server.pause_after:
                    self.wfile.write(server.content[start : server.pause_after])
                    server._ended.wait(timeout=60)
                    return
                end = start + server.breaks_after.pop(0) if server.breaks_after else None
                self.wfile.write(server.content[start:end])

            def _start(self):
                asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
                is_same = self.headers["If-Range"] == server.entity_tag or not server.keeps_to_the_version
                return int(asked[1]) + server.range_starts_off if asked and server.resumes and is_same else 0

            def log_message(self, *_):
                pass

        return Handler
