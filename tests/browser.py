"""A page in a real browser: Debian's chromium, headless, without a driver."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium is installed (Debian: apt install chromium)")
_REPORT = """
<script>
const complaints = [];
window.addEventListener("error", (event) => complaints.push(event.message));
window.addEventListener("securitypolicyviolation", (event) => complaints.push("blocked " + event.blockedURI));
</script>
"""
_RUN = """
<script>
let result;
try { result = (() => { %s })(); } catch (error) { complaints.push(String(error)); }
const opened = performance.getEntriesByType("navigation")[0].domInteractive;
const requests = performance.getEntriesByType("resource").map((entry) => entry.name);
const answer = document.createElement("pre");
answer.id = "answer";
answer.textContent = JSON.stringify({ result, complaints, requests, opened });
document.body.append(answer);
</script>
"""


def run(page: Path, script: str, width: int = 1200) -> dict[str, Any]:
    """``result``: what the ``script`` returns once the page has loaded; its ``complaints`` and ``requests``.

    ``opened``: milliseconds until the page could be used.
    """
    text = page.read_text(encoding="utf-8").replace("<head>", f"<head>{_REPORT}", 1)
    driven = page.with_name("driven.html")
    driven.write_text(text.replace("</body>", f"{_RUN % script}</body>"), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--log-level=0"]
    command += [f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},900", "--dump-dom"]
    done = subprocess.run([*command, driven.as_uri()], capture_output=True, text=True, timeout=120, check=False)
    answer = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
    assert answer, done.stderr[-2000:]
    content: dict[str, Any] = json.loads(unescape(answer[1]))
    content["complaints"] += re.findall(r"CONSOLE.*", done.stderr)
    return content
