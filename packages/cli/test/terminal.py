"""Runs a program in a pseudo-terminal and acts on what it shows.

    python3 terminal.py SPEC   (SPEC: JSON; see support.ts)

Writes one JSON object: what was shown, the exit code, and the seconds from the last act to the end.
"""
import fcntl, json, os, pty, select, signal, struct, sys, termios, time

spec = json.loads(sys.argv[1])
columns, rows = spec["columns"], 24
deadline = time.monotonic() + spec["timeout"]


def resize(fd, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


leader, follower = pty.openpty()
resize(follower, columns)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(follower, fd)
    if spec.get("stdout"):
        os.dup2(os.open(spec["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
    os.closerange(3, 256)
    os.chdir(spec["cwd"])
    os.execve(spec["command"][0], spec["command"], spec["env"])
os.close(follower)

shown = b""
seen = 0
acts = list(spec["acts"])
last = time.monotonic()
marks = []
while True:
    while acts and shown.find(acts[0]["when"].encode(), seen) >= 0:
        act = acts.pop(0)
        seen = shown.find(act["when"].encode(), seen) + len(act["when"].encode())
        last = time.monotonic()
        if "type" in act:
            os.write(leader, act["type"].encode())
        if "resize" in act:
            marks.append([len(shown.decode("utf-8", "replace").encode("utf-16-le")) // 2, act["resize"]])
            resize(leader, act["resize"])
        if "touch" in act:
            open(act["touch"], "w").close()
    ready, _, _ = select.select([leader], [], [], 0.05)
    if ready:
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    if time.monotonic() > deadline:
        os.kill(pid, signal.SIGKILL)
        break
_, status = os.waitpid(pid, 0)
code = os.waitstatus_to_exitcode(status)
print(json.dumps({
    "shown": shown.decode("utf-8", "replace"),
    "code": code,
    "seconds": time.monotonic() - last,
    "marks": marks,
    "pending": [act["when"] for act in acts],
}))
