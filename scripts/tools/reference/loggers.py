"""What W&B's own client sends for a small run, recorded by a server on this machine.

    python -m venv /tmp/loggers && /tmp/loggers/bin/pip install wandb==0.31.0
    /tmp/loggers/bin/python scripts/tools/reference/loggers.py

Writes tests/fixtures/loggers/wandb.json: the run, and the requests that make it and carry its numbers. Texts and files
that the client sends besides (its packages, its settings as YAML) are answered and left out.
"""

import gzip
import http.server
import json
import os
import tempfile
import threading
from pathlib import Path

OUT = Path(__file__).parents[3] / "tests" / "fixtures" / "loggers" / "wandb.json"
RUN = {
    "entity": "me",
    "project": "digits",
    "id": "abc12345",
    "name": "shown",
    "settings": {"adapter": "1lora", "lr": 0.1, "batch-size": 64},
    "points": [
        {"step": 1, "values": {"train/loss": 0.5, "train/strange": "NaN", "train/large": "Infinity"}},
        {"step": 2, "values": {"train/loss": 0.25, "evaluation/accuracy": 0.75}},
    ],
    "results": {"result/accuracy": 0.875},
}
requests = []


class Server(http.server.BaseHTTPRequestHandler):
    def answer(self):
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            data = gzip.decompress(data)
        out = {}
        if self.path == "/graphql" or self.path.startswith("/files/"):
            body = json.loads(data)
            query = body.get("query", "")
            if "upsertBucket" in query or self.path != "/graphql":
                requests.append({"path": self.path, "key": self.headers.get("authorization"), "body": body})
            if "upsertBucket" in query:
                project = {"id": "p", "name": RUN["project"], "entity": {"id": "e", "name": RUN["entity"]}}
                bucket = {"id": "x", "name": RUN["id"], "displayName": RUN["name"], "description": "", "config": "{}"}
                bucket |= {"sweepName": None, "historyLineCount": 0, "project": project}
                out = {"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}}
            elif "createRunFiles" in query:
                address = f"http://127.0.0.1:{self.server.server_port}/upload"
                files = [{"name": name, "uploadUrl": f"{address}/{name}"} for name in body["variables"]["files"]]
                out = {"data": {"createRunFiles": {"runID": RUN["id"], "uploadHeaders": [], "files": files}}}
            elif query:
                out = {"data": {}}
        sent = json.dumps(out).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ |= {
    "WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}",
    "WANDB_API_KEY": "0" * 40,
    "WANDB_SILENT": "true",
    "WANDB_DIR": tempfile.mkdtemp(),
}

import wandb  # noqa: E402

settings = wandb.Settings(
    x_disable_stats=True, x_disable_meta=True, disable_git=True, save_code=False, console="off", host="host"
)
run = wandb.init(
    entity=RUN["entity"],
    project=RUN["project"],
    id=RUN["id"],
    name=RUN["name"],
    config=RUN["settings"],
    settings=settings,
)
for point in RUN["points"]:
    run.log({name: float(value) for name, value in point["values"].items()}, step=point["step"])
for name, value in RUN["results"].items():
    run.summary[name] = value
run.finish()
OUT.parent.mkdir(parents=True, exist_ok=True)
recorded = [{**each, "body": {**each["body"]}} for each in requests]
for each in recorded:
    # Where the script lies is nobody's business.
    if "variables" in each["body"]:
        each["body"]["variables"]["program"] = None
OUT.write_text(json.dumps({"client": f"wandb {wandb.__version__}", "run": RUN, "requests": recorded}, indent=1) + "\n")
