"""A page in a real browser: Debian's chromium, headless, without a driver."""

import json
import re
import resource
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
const requests = performance.getEntriesByType("resource").map((entry) => entry.name);
const answer = document.createElement("pre");
answer.id = "answer";
answer.textContent = JSON.stringify({ result, complaints, requests });
document.body.append(answer);
</script>
"""
_TIMED = """
<script>
const elements = document.getElementsByTagName("*").length - 1;
addEventListener("load", () => {
  document.body.getBoundingClientRect();
  const answer = document.createElement("pre");
  answer.id = "answer";
  answer.textContent = JSON.stringify({ milliseconds: performance.now(), elements });
  document.body.replaceChildren(answer);
});
</script>
"""
"""The page's own elements are gone before the browser prints them, which is no part of an opening."""


def run(page: Path, script: str, width: int = 1200) -> dict[str, Any]:
    """``result``: what the ``script`` returns once the page has loaded; its ``complaints`` and ``requests``."""
    text = page.read_text(encoding="utf-8").replace("<head>", f"<head>{_REPORT}", 1)
    driven = page.with_name("driven.html")
    driven.write_text(text.replace("</body>", f"{_RUN % script}</body>"), encoding="utf-8")
    content, complaints = _answer(driven, f"--window-size={width},900", "--enable-logging=stderr", "--log-level=0")
    content["complaints"] += complaints
    return content


def opening(page: Path) -> tuple[float, float, int]:
    """Milliseconds until the page has loaded and its layout is there, the processor's seconds, and the elements.

    The browser is a single process here, so that the seconds are all of it, its own start included.
    """
    timed = page.with_name("timed.html")
    timed.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{_TIMED}</body>"), encoding="utf-8")
    before = _processor()
    content, _ = _answer(timed, "--single-process")
    return content["milliseconds"], _processor() - before, content["elements"]


def _answer(page: Path, *options: str) -> tuple[dict[str, Any], list[str]]:
    """The answer that a page's script leaves, and the browser's complaints."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", *options]
    command += [f"--user-data-dir={page.parent / 'profile'}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    answer = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
    assert answer, done.stderr[-2000:]
    return json.loads(unescape(answer[1])), re.findall(r"CONSOLE.*", done.stderr)


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
