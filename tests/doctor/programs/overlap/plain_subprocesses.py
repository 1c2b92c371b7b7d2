import subprocess


class Checker:
    def check(self, hosts):
        return {host: self.ping(host) for host in hosts}  # HERE

    @staticmethod
    def ping(host):
        return subprocess.run(["sleep", "0.06"], check=False).returncode == 0


assert all(Checker().check(["a", "b", "c", "d", "e"]).values())
