"""odoo-ha on etcd, for the failover rig: `rig.py --system odoo_ha:OdooHa`. README.md beside this file says how.

Keys of a config file, all optional:
  timing        [timing] of every node, as node.toml has it; what is left out is the agent's default
  policy        [policy] of every node
  parameters    more settings of PostgreSQL
  etcd_members  1 or 3
  peers         false: no [peers], so a leader that does not reach the store gives up
  guard         [guard]; {"enabled": false} runs without one
  guard_too     true: the guard is killed and frozen together with the agent, and counted with it in `cost`
  vip           an address in the rig's subnet, held by whoever leads: rig.py --via vip
  log           what the agents log, as RUST_LOG (default: actions, too); "info" for the cost of a node at rest

A guard that acts kills its agent, and an agent's supervisor starts it again. Here the adapter is that supervisor, as systemd is in real life; an agent
that the rig has killed stays dead until the rig starts it, as with the other systems.
"""
import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import threading
import time
from pathlib import Path

import psycopg
from systems.base import PGBIN, PGPORT, System

AGENT = os.environ.get("RIG_ODOO_HA", "odoo-ha-agent")
ETCD = os.environ.get("RIG_ETCD", "etcd")
HACTL = os.environ.get("RIG_ODOO_HACTL")
GUARD = "odoo-ha-guard"
CLUSTER = "rig"
PREFIX = f"/odoo-ha/{CLUSTER}/"
PEERS_PORT = 7000
SWITCHOVER_S = 60
RESTART_S = 1.0         # systemd's RestartSec of the unit
GUARD_TELLS_S = 3.0     # what a guard has done stands in its log within this


def toml(value):
    """A value of the configuration; JSON is TOML for text, numbers and truth."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def b64(text):
    return base64.b64encode(text.encode()).decode()


class OdooHa(System):
    name = "odoo_ha"

    @classmethod
    def extra_hosts(cls, cfg):
        return [f"dcs{i + 1}" for i in range(cfg.get("etcd_members", 1))]

    def __init__(self, lab, nodes, cfg):
        super().__init__(lab, nodes, cfg)
        self.arbiters = self.extra_hosts(cfg)
        self.vip = cfg.get("vip")
        self.password, self.peers_secret = secrets.token_hex(16), secrets.token_hex(16)
        self.superuser_has_password, self.ending = False, threading.Event()
        threading.Thread(target=self._supervise, daemon=True).start()

    # -- the supervisor
    def _supervise(self):
        seen, ended = {}, {}
        while not self.ending.wait(0.05):
            for node, agent in list(self.agents.items()):
                if seen.get(node) is not agent:
                    seen[node], ended[node] = agent, None
                if agent.poll() is None:        # asking also reaps it: a guard cannot kill what is gone
                    continue
                ended[node] = ended[node] or time.monotonic()
                since = time.monotonic() - ended[node]
                if RESTART_S <= since < GUARD_TELLS_S and self._guard_killed(node, agent.pid):
                    self.start_agent(node)

    def _guard_killed(self, node, pid):
        """Whether the guard's last deed was to kill the agent that it was armed by last, and that was this one."""
        try:
            lines = (self.home(node) / "data.guard/guard.log").read_text(errors="replace").splitlines()
        except OSError:
            return False
        armed = [i for i, line in enumerate(lines) if f"armed by process {pid}," in line]
        return bool(armed) and any("agent_killed: true" in line for line in lines[armed[-1]:])

    def stop(self):
        self.ending.set()
        super().stop()

    # -- the store
    def start_arbiters(self):
        ips = {h: self.lab.hosts[h] for h in self.arbiters}
        cluster = ",".join(f"{h}=http://{ip}:2380" for h, ip in ips.items())
        for h, ip in ips.items():
            self.lab.popen(h, [ETCD, "--name", h, "--data-dir", self.lab.workdir / h, "--log-level", "warn",
                               "--listen-client-urls", f"http://{ip}:2379", "--advertise-client-urls", f"http://{ip}:2379",
                               "--listen-peer-urls", f"http://{ip}:2380", "--initial-advertise-peer-urls", f"http://{ip}:2380",
                               "--initial-cluster", cluster], f"{h}.log")
        end = time.monotonic() + 20
        while not self._records():
            if time.monotonic() > end:
                raise RuntimeError("etcd did not become healthy: see dcs1.log")
            time.sleep(0.1)

    def _ask(self, path, body=None, from_host=None, timeout=3):
        """One request to etcd, over its JSON gateway, from a host that reaches it: `None` when there is no answer."""
        host = from_host or self.arbiters[0]
        for h in self.arbiters:
            argv = ["curl", "-s", "--noproxy", "*", "-m", str(timeout), f"http://{self.lab.hosts[h]}:2379{path}"]
            if body is not None:
                argv += ["-d", json.dumps(body)]
            out = self.lab.run(host, *argv, timeout=timeout + 5).stdout
            if out:
                return out
        return None

    def _records(self, from_host=None):
        """{key: (record, mod_revision)} of the cluster, and "" for the store itself; empty when it does not answer."""
        out = self._ask("/v3/kv/range", {"key": b64(PREFIX), "range_end": b64(PREFIX[:-1] + "0")}, from_host)
        try:
            answer = json.loads(out or "")
            found = {"": (answer["header"], 0)}
            for kv in answer.get("kvs", []):
                key = base64.b64decode(kv["key"]).decode().removeprefix(PREFIX)
                found[key] = (json.loads(base64.b64decode(kv["value"])), int(kv["mod_revision"]))
            return found
        except (ValueError, KeyError):
            return {}

    # -- the agents
    def _config(self, node):
        ip, home = self.lab.hosts[node], self.home(node)
        parameters = {"shared_buffers": "64MB", "max_connections": "200", **self.cfg.get("parameters", {})}
        sections = {
            # The rig starts the first node alone and waits for its database.
            "cluster": {"name": CLUSTER, "member": node, "state_dir": str(home / "state"),
                        **({"founders": [node]} if node == self.nodes[0] else {"bootstrap": "never"})},
            "dcs.etcd": {"endpoints": [f"http://{self.lab.hosts[h]}:2379" for h in self.arbiters]},
            "postgres": {"data_dir": str(self.pgdata(node)), "host": ip, "port": PGPORT, "bin_dir": PGBIN,
                         "socket_dir": str(self.sockdir(node)), "networks": ["10.77.0.0/24"], "wal_keep_mb": 256,
                         "password": {"file": str(home / "replication.password")},
                         **({"listen": "0.0.0.0"} if self.vip else {})},
            "postgres.parameters": parameters,
            "guard": self.cfg.get("guard", {}),
            "timing": self.cfg.get("timing", {}),
            "policy": self.cfg.get("policy", {}),
        }
        if self.cfg.get("peers", True):
            sections["peers"] = {"listen": f"{ip}:{PEERS_PORT}", "secret": {"file": str(home / "peers.secret")}}
        if self.vip:
            sections["address.linux"] = {"address": f"{self.vip}/24", "interface": "eth0"}
        return "\n".join(f"[{name}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in section.items())
                         for name, section in sections.items())

    def _prepare(self, node):
        home = self.home(node)
        home.mkdir(parents=True)
        for name, text in (("node.toml", self._config(node)), ("replication.password", self.password + "\n"),
                           ("peers.secret", self.peers_secret + "\n")):
            (home / name).write_text(text)
            (home / name).chmod(0o600)
        # The socket's directory is its owner's alone: whoever reaches it is trusted. The rig's probes are root.
        for d in (self.sockdir(node), home / "state"):
            d.mkdir(mode=0o700)
        for p in (home, *home.iterdir()):
            shutil.chown(p, "postgres", "postgres")

    def start_agent(self, node):
        if not self.home(node).exists():
            self._prepare(node)
        env = {"HOME": str(self.home(node)), "PATH": f"{PGBIN}:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8",
               "RUST_LOG": self.cfg.get("log", "info,odoo_ha=debug")}
        self.agents[node] = self.lab.popen(node, [AGENT, "--config", self.home(node) / "node.toml"], f"{node}.agent.log",
                                           user="postgres", caps=("net_admin", "net_raw") if self.vip else (), env=env)

    def agent_pids(self, node):
        pids = super().agent_pids(node)
        return pids + self._guard_pids(node) if pids and self.cfg.get("guard_too") else pids

    def _guard_pids(self, node):
        """The guard is the agent's program, started a second time, under a name of its own."""
        found = []
        for pid in subprocess.run(["ip", "netns", "pids", self.lab.ns(node)], capture_output=True, text=True).stdout.split():
            try:
                if Path(f"/proc/{pid}/comm").read_text().strip() == GUARD:
                    found.append(int(pid))
            except OSError:
                pass
        return found

    # -- what the rig asks
    def _give_password(self, primary):
        """The agent lets the subnet in with a password only, so the client gets one: in a file, libpq's own way. The socket is trusted."""
        with psycopg.connect(host=str(self.sockdir(primary)), port=PGPORT, user="postgres", dbname="postgres", autocommit=True) as c:
            c.execute(psycopg.sql.SQL("ALTER ROLE postgres PASSWORD {}").format(psycopg.sql.Literal(self.password)))
        passfile = Path(self.lab.workdir) / "client.pgpass"
        passfile.touch(0o600)
        passfile.write_text(f"*:*:*:postgres:{self.password}\n")
        os.environ["PGPASSFILE"] = str(passfile)
        self.superuser_has_password = True

    def ready(self, primary):
        try:
            if not self.superuser_has_password:
                self._give_password(primary)
        except psycopg.Error:
            return False
        records = self._records()
        leader, sync = records.get("leader", ({}, 0))[0], records.get("sync", ({}, 0))[0]
        if leader.get("holder") != primary or not leader.get("serving") or sync.get("leader") != primary:
            return False
        if sync.get("rule") == "synchronous":
            return len(sync["names"]) == len(self.nodes) - 1
        return True

    def candidate(self, primary):
        names = self._records().get("sync", ({}, 0))[0].get("names") or {}
        return next(iter(names), None) or super().candidate(primary)

    def switchover(self, frm, to):
        """By the operator's program, or as that does it: the wish is a record in the store, guarded by the one before, and is answered there."""
        if HACTL:
            argv = self.lab.argv(frm, [HACTL, "--config", self.home(frm) / "node.toml", "switchover", "--to", to])
            p = subprocess.run(argv, capture_output=True, text=True, timeout=2 * SWITCHOVER_S)
            return f"exit code {p.returncode}: {p.stdout}{p.stderr}".strip()
        before = self._records(frm).get("request")
        key, wish = b64(PREFIX + "request"), f"rig-{time.time_ns()}"
        record = {"header": {"format": 1, "cluster": CLUSTER, "nonce": {"incarnation": time.time_ns(), "number": 1}}, "id": wish,
                  "kind": {"switchover": {"target": to}}, "outcome": "pending"}
        guard = {"target": "MOD", "result": "EQUAL", "key": key, "mod_revision": str(before[1] if before else 0)}
        asked = self._ask("/v3/kv/txn", {"compare": [guard], "success": [{"requestPut": {"key": key, "value": b64(json.dumps(record))}}]}, frm)
        if '"succeeded":true' not in (asked or "").replace(" ", ""):
            return f"not asked: {asked}"
        end = time.monotonic() + SWITCHOVER_S
        while time.monotonic() < end:
            time.sleep(0.2)
            now = self._records(frm).get("request", ({}, 0))[0]
            if now.get("id") == wish and now["outcome"] != "pending":
                return json.dumps(now["outcome"])
        return f"no answer within {SWITCHOVER_S} s"

    def _seconds(self, key, default):
        found = re.fullmatch(r"([\d.]+)(ms|s)", self.cfg.get("timing", {}).get(key, default))
        return float(found[1]) / (1000 if found[2] == "ms" else 1)

    def phase_s(self):
        return self._seconds("renew_interval", f"{self._seconds('ttl', '5s') / 5}s")

    def failover_wait_s(self):
        return 2 * self._seconds("ttl", "5s") + 20

    def versions(self):
        def first_line(*argv):
            return subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()[0]
        return {"odoo_ha": first_line(AGENT, "--version"), "etcd": first_line(ETCD, "--version")}

    def arbiter_requests(self):
        """Calls, and messages on the stream of a watch, which etcd does not count as started calls."""
        n = {}
        for h in self.arbiters:
            out = self.lab.run(h, "curl", "-s", "--noproxy", "*", "-m", "3", f"http://{self.lab.hosts[h]}:2379/metrics").stdout
            for m in re.finditer(r'^grpc_server_msg_received_total\{grpc_method="(\w+)".*?\} (\S+)$', out, re.M):
                n[m[1]] = n.get(m[1], 0) + float(m[2])
        return n

    def rejoin_evidence(self, node, since_offset):
        with open(self.lab.logs / f"{node}.agent.log", errors="replace") as f:
            f.seek(since_offset)
            hows = set(re.findall(r"Rejoined \{.*?by: (\w+)", f.read()))
        named = {"Rewind": "pg_rewind", "Clone": "basebackup"}
        return "+".join(sorted(named[how] for how in hows if how in named)) or "plain"
