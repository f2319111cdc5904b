"""Answers requests on a socket that is a file, until it is asked to quit."""
import json
import os
import socketserver
import sys
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        if self.path == "/json":
            self.answer(200, '{"a": [1, "é"]}', "application/json")
        elif self.path == "/text":
            self.answer(200, "some text\n", "text/plain; charset=utf-8")
        elif self.path == "/echo":
            told = {
                "method": self.command,
                "body": body,
                "kind": self.headers.get("Content-Type"),
                "asked": self.headers.get("X-Asked"),
                "agent": self.headers.get("User-Agent"),
                "login": self.headers.get("Authorization"),
            }
            self.answer(200, json.dumps(told), "application/json")
        elif self.path == "/redirect":
            self.answer(302, "", "text/plain", [("Location", "/text?x=1")])
        elif self.path == "/quit":
            self.answer(200, "", "text/plain")
            os._exit(0)
        else:
            self.answer(404, "nothing here", "text/plain")

    do_POST = do_PUT = do_PATCH = do_HEAD = do_GET

    def answer(self, status, body, kind, more=()):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Own", "yes")
        self.send_header("Set-Cookie", "one=1; Path=/")
        self.send_header("Set-Cookie", "two=2; Path=/")
        for name, value in more:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def address_string(self):
        return "local"

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


Server(sys.argv[1], Handler).serve_forever()
