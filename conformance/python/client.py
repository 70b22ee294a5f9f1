"""The stock Python client, python-socketio, against a running server.

Usage: client.py URL TRANSPORT[,TRANSPORT]   prints one line "ok NAME" per check, or a traceback.
"""

import queue
import sys

import socketio

URL, TRANSPORTS = sys.argv[1], sys.argv[2].split(",")
DEADLINE = 10


class Client:
    """A connected client whose events go to a queue each."""

    def __init__(self, namespace="/", **options):
        self.namespace = namespace
        self.sio = socketio.Client(reconnection=False)
        self.heard = {}
        self.options = {"wait_timeout": DEADLINE, **options}

    def __enter__(self):
        for name in ["message-back", "news", "binary-made", "gone", "disconnect"]:
            self.heard[name] = queue.Queue()
            self.sio.on(name, self._hear(name), namespace=self.namespace)
        self.sio.on("question", lambda *args: ("answer", *args), namespace=self.namespace)
        self.sio.connect(URL, transports=TRANSPORTS, namespaces=[self.namespace], **self.options)
        return self

    def __exit__(self, *_):
        self.sio.disconnect()

    def _hear(self, name):
        return lambda *args: self.heard[name].put(list(args))

    def emit(self, name, *args):
        self.sio.emit(name, args, namespace=self.namespace)

    def ask(self, name, *args):
        return self.sio.call(name, args, namespace=self.namespace, timeout=DEADLINE)

    def next(self, name):
        return self.heard[name].get(timeout=DEADLINE)


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def connect():
    with Client() as c:
        equal(c.sio.transport(), TRANSPORTS[-1])


def text():
    with Client() as c:
        c.emit("message", "é😀𝒳", 1, {"a": [None, True]}, "")
        equal(c.next("message-back"), ["é😀𝒳", 1, {"a": [None, True]}, ""])


def binary():
    with Client() as c:
        c.emit("message", b"\x00\x01\xff", {"deep": [b"\x07", "x"]})
        equal(c.next("message-back"), [b"\x00\x01\xff", {"deep": [b"\x07", "x"]}])
        c.emit("make-binary", 3)
        equal(c.next("binary-made"), [b"\x00\x01\x02", {"deep": [{"bytes": b"\x00\x01\x02"}, "text"]}])


def acks():
    with Client() as c:
        equal(c.ask("message-with-ack", "é", b"\x01"), ("é", b"\x01"))
        equal(c.ask("ask", {"ms": 8000}, 1, b"\x02"), {"timedOut": False, "reply": ["answer", 1, b"\x02"]})


def rooms():
    with Client() as a, Client() as b:
        equal(a.ask("join", "snakes"), ["snakes"])
        equal(b.ask("join", "snakes"), ["snakes"])
        a.ask("publish", {"rooms": ["snakes"], "others": True}, "news", "é", b"\x05")
        equal(b.next("news"), ["é", b"\x05"])
        equal(b.ask("leave", "snakes"), [])
        a.ask("publish", {"rooms": ["snakes"]}, "news", "for a alone")
        equal(a.next("news"), ["for a alone"])
        equal(b.heard["news"].empty(), True)


def namespaces():
    with Client("/custom") as c:
        equal(c.ask("message-with-ack", 1), 1)
    with Client("/guarded", auth={"token": "secret"}) as c:
        equal(c.ask("handshake")["auth"], {"token": "secret"})
    for namespace in ["/guarded", "/unknown"]:
        try:
            with Client(namespace, wait_timeout=2):  # it learns of a refusal when this time is over
                raise AssertionError(f"{namespace} let us in")
        except socketio.exceptions.ConnectionError:
            pass


def many():
    with Client() as c:
        for start in range(0, 1000, 10):  # it refuses polls of more than sixteen packets
            for i in range(start, start + 10):
                c.emit("message", i)
            # python-engineio gives each message a thread of its own: which ones came can be told here, not in what order.
            equal(sorted(c.next("message-back")[0] for _ in range(10)), list(range(start, start + 10)))


def disconnect():
    with Client() as observer, Client() as c:
        observer.ask("join", "observers")
        sid = c.sio.get_sid("/")
        c.emit("leave-me", False)
        c.next("disconnect")
        equal(observer.next("gone"), [sid, "server namespace disconnect"])


for check in [connect, text, binary, acks, rooms, namespaces, many, disconnect]:
    check()
    print("ok", check.__name__, flush=True)
