"""The page as its own script speaks to it: forms are filled, buttons pressed and results read over HTTP."""

from __future__ import annotations

import json
import re
import urllib.request
import uuid
from pathlib import Path
from typing import Any


class Page:
    """A visitor without a browser.

    Args:
        url: The page's address, with a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = uuid.uuid4().hex[:10]
        self.config: dict[str, Any] = json.loads(self.get("config"))
        self._components = {item["id"]: item["props"] for item in self.config["components"]}

    def get(self, path: str) -> bytes:
        """What lies at a path of the page."""
        with urllib.request.urlopen(self.url + path, timeout=120) as answer:
            content: bytes = answer.read()
        return content

    def send(self, path: str, body: bytes, kind: str) -> Any:
        """Post something; the answer, which is JSON."""
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def upload(self, path: Path) -> str:
        """Send a file; where the server keeps it."""
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
        body = head.encode() + path.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        (kept,) = self.send("gradio_api/upload", body, f"multipart/form-data; boundary={mark}")
        return str(kept)

    def press(self, element: str, **fields: Any) -> str:
        """Press a button; what it shows in the end, as HTML.

        Args:
            element: The button's id on the page.
            **fields: Values of fields, by their ids with underscores; the others are as the empty form has them.
        """
        values = {key.replace("_", "-"): value for key, value in fields.items()}
        (button,) = (number for number, props in self._components.items() if props.get("elem_id") == element)
        (click,) = (item for item in self.config["dependencies"] if [button, "click"] in item["targets"])
        (work,) = (item for item in self.config["dependencies"] if item.get("trigger_after") == click["id"])
        data = []
        for number in work["inputs"]:
            props = self._components[number]
            data.append(values.pop(str(props.get("elem_id")), props.get("value")))
        assert not values, f"{element} has no such fields"
        question = {"data": data, "fn_index": work["id"], "session_hash": self.session}
        self.send("gradio_api/queue/join", json.dumps(question).encode(), "application/json")
        for line in self.get(f"gradio_api/queue/data?session_hash={self.session}").decode().splitlines():
            message = json.loads(line.removeprefix("data: ")) if line else {}
            if message.get("msg") == "process_completed":
                assert message["success"], message
                return str(message["output"]["data"][0])
        raise AssertionError("the page gave no answer")


def sounds(shown: str) -> dict[str, str]:
    """Label -> URL of every sound of a result."""
    return dict(re.findall(r'<tr class="[^"]*" data-label="([^"]*)".*?data-url="([^"]*)"', shown, re.DOTALL))
