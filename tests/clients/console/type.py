"""Types into the aos console, and reads what it shows. Started by `run`."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import struct
import tempfile
import termios
import time

PLAIN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SOMEBODY = "3" * 43


def units(program, root, folder):
    """A whole ao. Its process, and where its units are."""
    args = ["--data", f"{folder}/data", "up", "--json", "--port", "0", "--modules", f"{root}/modules/aos"]
    # The console reads an address such as 0x12 on its command line as a number, so units have Arweave's keys.
    args += ["--set", "units.key=arweave"]
    child = subprocess.Popen([program, *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return child, json.loads(child.stdout.readline())


class Console:
    """The console in a terminal."""

    def __init__(self, aos, environment, args):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(aos)
            os.execvpe("node", ["node", "src/index.js", *args], environment)
        # Without a width, what spins on the screen never ends a line.
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.shown = ""

    @property
    def screen(self):
        return PLAIN.sub("", self.shown)

    def read(self, seconds):
        end = time.time() + seconds
        while time.time() < end:
            ready, _, _ = select.select([self.terminal], [], [], 0.1)
            if ready:
                try:
                    shown = os.read(self.terminal, 65536)
                except OSError:
                    return
                self.shown += shown.decode("utf-8", "replace")

    def wait(self, text, seconds=90):
        """Waits until the screen has shown this since the last line was typed."""
        end = time.time() + seconds
        while not re.search(text, self.screen):
            if time.time() > end:
                sys.exit(f"the console does not show {text!r}; its screen:\n{self.screen[-4000:]}")
            self.read(0.2)

    def type(self, line):
        self.shown = ""
        # As fingers do: the console redraws its line at each key.
        for key in line:
            os.write(self.terminal, key.encode())
            time.sleep(0.004)
        os.write(self.terminal, b"\r")
        # What was typed is shown too, and is no answer.
        time.sleep(0.3)
        self.read(0.2)
        self.shown = self.screen.rsplit(line[-20:], 1)[-1]


def main():
    root, program, aos = sys.argv[1], os.environ["DRIVEBAY"], os.environ["AOS"]
    with tempfile.TemporaryDirectory() as folder:
        child, about = units(program, root, folder)
        wallet = f"{folder}/wallet.json"
        subprocess.run([program, "wallet", "--file", wallet, "--new", "rsa"], check=True, stdout=subprocess.DEVNULL)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "TERM": "xterm",
            "GATEWAY_URL": about["gateway"],
            "GRAPHQL_URL": about["gateway"] + "/graphql",
            "ARWEAVE_GRAPHQL": about["gateway"] + "/graphql",
            "MU_URL": about["mu"],
            "CU_URL": about["cu"],
            "SCHEDULER": about["scheduler"],
            "AOS_MODULE": about["modules"]["aos2_0_6"],
            "UPDATE_URL": about["gateway"] + "/update",
        }
        args = ["demo", "--legacy", "--wallet", wallet, "--tag-name", "Authority", "--tag-value", about["authority"]]
        console = Console(aos, environment, args)
        try:
            console.wait(r"aos.*>")
            print("ok   it starts, and shows its prompt")
            console.type("1 + 1")
            console.wait(r"(^|\s|\])2\s")
            print("ok   it evaluates")
            console.type(".load-blueprint token")
            console.wait(r"aos.*>")
            console.read(3)
            console.type('return "supply " .. tostring(TotalSupply or Balances[ao.id])')
            console.wait(r"supply \d+")
            print("ok   the token blueprint is loaded")
            console.type(f'Send({{ Target = ao.id, Action = "Transfer", Recipient = "{SOMEBODY}", Quantity = "5" }})')
            console.read(5)
            for _ in range(10):
                console.type(f'return "balance " .. tostring(Balances["{SOMEBODY}"])')
                console.wait(r"balance (nil|\d+)")
                if re.search(r"balance 5\b", console.screen):
                    break
                console.read(2)
            else:
                sys.exit(f"the transfer does not arrive; the screen:\n{console.screen[-4000:]}")
            print("ok   a transfer arrives")
            console.type(".exit")
        finally:
            os.kill(console.pid, signal.SIGKILL)
            child.send_signal(signal.SIGTERM)
            child.wait()
    print("4 steps passed")


main()
