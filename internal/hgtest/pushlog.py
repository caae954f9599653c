"""A pushlog for tests: it notes every push that comes over the network, and answers json-pushes as the
servers of Mozilla do, in version 2, with startID, endID, changeset and full. An hgrc or --config may say who
pushes (pushlog.user) and the date of the pushes (pushlog.date). The log is lines of JSON in .hg/pushlog-test."""

import json
import os
import time

from mercurial import encoding
from mercurial.hgweb import webcommands


def path(repo):
    return os.path.join(os.fsdecode(repo.path), "pushlog-test")


def read(repo):
    try:
        with open(path(repo)) as f:
            return [json.loads(line) for line in f]
    except FileNotFoundError:
        return []


def note(ui, repo, node=None, source=None, **more):
    if source not in (b"serve", b"push"):
        return
    log = read(repo)
    entry = {
        "id": log[-1]["id"] + 1 if log else 1,
        "user": ui.config(b"pushlog", b"user", b"pusher@example.com").decode(),
        "date": int(ui.config(b"pushlog", b"date", b"0")) or int(time.time()),
        "nodes": [repo[rev].hex().decode() for rev in range(repo[node].rev(), len(repo))],
    }
    with open(path(repo), "a") as f:
        f.write(json.dumps(entry) + "\n")


def reposetup(ui, repo):
    if repo.local():
        repo.ui.setconfig(b"hooks", b"pretxnchangegroup.pushlog", note, b"pushlog")


def text(b):
    return encoding.fromlocal(b).decode("utf-8", "replace")


def pushes(web):
    ask = web.req.qsparams
    repo = web.repo
    start = int(ask.get(b"startID", b"0"))
    end = int(ask.get(b"endID", b"0")) or 1 << 60
    full = b"full" in ask
    wanted = ask.get(b"changeset", b"").decode()
    log = read(repo)
    found = {}
    for p in log:
        if not start < p["id"] <= end or wanted and wanted not in p["nodes"]:
            continue
        nodes = [n for n in p["nodes"] if n.encode() in repo]
        changesets = nodes
        if full:
            changesets = []
            for n in nodes:
                c = repo[n.encode()]
                changesets.append({
                    "node": n, "author": text(c.user()), "desc": text(c.description()), "branch": text(c.branch()),
                    "parents": [x.hex().decode() for x in c.parents()], "files": [os.fsdecode(f) for f in c.files()], "tags": [],
                })
        found[str(p["id"])] = {"changesets": changesets, "date": p["date"], "user": p["user"]}
    answer = {"lastpushid": log[-1]["id"] if log else 0, "pushes": found}
    web.res.headers[b"Content-Type"] = b"application/json"
    web.res.setbodybytes(json.dumps(answer).encode())
    return web.res.sendresponse()


webcommands.commands[b"pushes"] = pushes
webcommands.__all__.append(b"pushes")
webcommands.pushes = pushes
