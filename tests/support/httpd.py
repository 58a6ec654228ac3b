"""A private Apache httpd of Debian's package: its own configuration, directories and ports."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from support.tools import free_port, tool
from support.waiting import wait_for

MODULES = Path("/usr/lib/apache2/modules")

# The LogFormat of each access log that httpd writes beside the others, by the log's name.
# `fields` is for machines: what only the server knows of a request.
LOG_FORMATS = {
    "Common": '%h %l %u %t "%r" %>s %b',
    "Combined": '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"',
    "CombinedIo": '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %I %O',
    "VhostCombined": '%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"',
    "fields": "%{usec}t %D %X %>s %s %B %I %O %P %{tid}P %k %{remote}p %R %L",
}

CONFIGURATION = """
ServerRoot "{root}"
ServerName oracle.example:8008
PidFile "{root}/httpd.pid"
Mutex file:{root} default
Listen 127.0.0.1:{port}
Listen [::1]:{port}
{modules}
{user}
{processes}
AcceptFilter http none
Timeout 30
KeepAliveTimeout 30
RequestReadTimeout header=1 body=10
LogLevel {log_level}
ErrorLog "{root}/error.log"
{logs}
TypesConfig /dev/null
DocumentRoot "{root}/htdocs"
<Directory "{root}/htdocs">
    AllowOverride None
    Options Indexes
    Require all granted
    SetEnv FLAVOUR "va\\"nilla"
</Directory>
<Directory "{root}/htdocs/empty">
    Options None
</Directory>
<Location "/denied">
    Require all denied
</Location>
<Location "/members">
    AuthType Basic
    AuthName "members"
    AuthUserFile "{root}/users"
    Require valid-user
</Location>
{extra}
"""


class Httpd:
    """A running httpd. Its children run as www-data if the tests run as root."""

    def __init__(
        self,
        mpm: str = "event",
        time_zone: str = "UTC",
        log_level: str = "warn",
        custom: str | None = None,
        strftime: str | None = None,
        extra: str = "",
    ) -> None:
        """`mpm` is event, worker or prefork. `custom` and `strftime` are LogFormats of the
        logs Custom and Strftime. `extra` is appended to the configuration."""
        self.mpm = mpm
        self.time_zone = time_zone
        self.port = free_port()
        self.root = Path(tempfile.mkdtemp(prefix="visor-httpd-"))
        self.root.chmod(0o755)
        self.documents = self.root / "htdocs"
        (self.documents / "empty").mkdir(parents=True)
        more = {"Custom": custom, "Strftime": strftime}
        self.formats = LOG_FORMATS | {name: text for name, text in more.items() if text}
        names = (
            "alias auth_basic authn_core authn_file authz_core authz_host authz_user autoindex dir"
            f" env mime mpm_{mpm} reqtimeout rewrite"
        ).split()
        # As few as do, so that a server is quick to start and to stop.
        processes = "StartServers 1\nMinSpareServers 1"
        if mpm != "prefork":
            processes = "StartServers 1\nThreadsPerChild 4\nMinSpareThreads 1"
        escaped = {
            name: text.replace("\\", "\\\\").replace('"', '\\"')
            for name, text in self.formats.items()
        }
        (self.root / "httpd.conf").write_text(
            CONFIGURATION.format(
                root=self.root,
                port=self.port,
                modules="\n".join(f"LoadModule {n}_module {MODULES}/mod_{n}.so" for n in names),
                user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
                processes=processes,
                log_level=log_level,
                logs="\n".join(
                    f'CustomLog "{self.root}/{name}.log" "{text}"' for name, text in escaped.items()
                ),
                extra=extra.format(root=self.root),
            )
        )

    def __enter__(self) -> Httpd:
        self.process = subprocess.Popen(
            [tool("apache2"), "-f", self.root / "httpd.conf", "-DFOREGROUND"],
            env={"TZ": self.time_zone, "PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # The prefork MPM ends its children by a signal to its whole process group.
            start_new_session=True,
        )
        wait_for("httpd to listen", self._listens)
        return self

    def _listens(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"httpd ended: {self.process.stderr.read()}{self.lines('error')}")
        return b"resuming normal operations" in b"".join(self.lines("error"))

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.root)

    def stop(self) -> None:
        """Ends the server and waits until it has."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        self.process.stderr.close()

    def lines(self, log: str) -> list[bytes]:
        """The whole lines of a log so far, without their line ends."""
        path = self.root / f"{log}.log"
        text = path.read_bytes() if path.exists() else b""
        return text.split(b"\n")[:-1]

    def exchange(self, address: str, *parts: bytes, count: int = 1) -> tuple[int, bytes]:
        """Sends `parts` on one connection, reads until the server closes it, and waits until
        `count` more requests are in every access log. Returns this side's port and what was
        answered."""
        before = len(self.lines("fields"))
        with socket.create_connection((address, self.port), timeout=60) as connection:
            port = connection.getsockname()[1]
            answer = b""
            for part in parts:
                connection.sendall(part)
            while received := connection.recv(65536):
                answer += received
        wait_for(
            f"{count} more lines in each log",
            lambda: all(len(self.lines(log)) >= before + count for log in self.formats),
        )
        return port, answer
