"""The page in headless Chromium: test_page.py RENDER_SAMPLE. Sorting, switching, charts, no errors, no requests."""
import base64
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

import jsonschema

HERE = pathlib.Path(__file__).resolve().parent
chromium = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
if chromium is None:
    print("skipped: no Chromium on this machine")
    sys.exit(77)


class DevTools:
    """A few lines of the Chrome DevTools protocol over a plain websocket."""

    def __init__(self, url):
        host, port, path = re.fullmatch(r"ws://([^:/]+):(\d+)(/.*)", url).groups()
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.buffer, self.next_id, self.events = b"", 0, []
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.socket.recv(4096)
        assert b" 101 " in self.buffer.split(b"\r\n")[0]
        self.buffer = self.buffer.split(b"\r\n\r\n", 1)[1]

    def take(self, n):
        while len(self.buffer) < n:
            data = self.socket.recv(65536)
            assert data, "the browser closed the connection"
            self.buffer += data
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def receive(self):
        message = b""
        while True:
            first, second = self.take(2)
            size = second & 127
            if size == 126:
                (size,) = struct.unpack(">H", self.take(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self.take(8))
            message += self.take(size)
            if first & 128:
                return json.loads(message)

    def call(self, method, **parameters):
        self.next_id += 1
        data = json.dumps({"id": self.next_id, "method": method, "params": parameters}).encode()
        head = bytes([129]) + (bytes([128 | len(data)]) if len(data) < 126 else bytes([254]) + struct.pack(">H", len(data)))
        self.socket.sendall(head + bytes(4) + data)  # a mask of zeros is a mask
        while True:
            message = self.receive()
            if message.get("id") == self.next_id:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")


def open_page(tools, page):
    tools.call("Page.navigate", url=page.as_uri())
    for _ in range(100):
        if tools.evaluate("document.readyState") == "complete" and tools.evaluate("location.pathname") == str(page):
            return
        time.sleep(0.1)
    raise AssertionError("the page does not load")


def check_reasons(tools, sample, path):
    """A grid without any value says why, in the document's words."""
    document = json.loads(sample.read_text())
    for m in document["measures"]:
        for r in m["results"]:
            r["sign_error"]["cdf"] = []
            r["statistics"]["sign_error_mean"].update(value=None, interval=None, null=None, reason="no environment has <enough> runs")
            for a in r["axes"]:
                a["sign_error"] = None
    path.write_text(json.dumps(document))
    page = path.with_suffix(".html")
    page.write_bytes(subprocess.run([sys.argv[1], path, "html"], capture_output=True, check=True).stdout)
    open_page(tools, page)
    shown = tools.evaluate("[...document.querySelectorAll('#cdf td')].map(c => c.textContent)")
    assert shown == ["Not computed: no environment has <enough> runs."], shown
    assert len(tools.evaluate("[...document.querySelectorAll('#cdf th')].map(c => c.textContent)")) == 0


def main():
    sample = HERE / "data/ranking.json"
    document = json.loads(sample.read_text())
    schema = json.loads((HERE.parents[1] / "reports/schemas/ranking.schema.json").read_text())
    jsonschema.validate(document, schema)
    for damage in (lambda d: d.pop("gaps"), lambda d: d.update(extra=1), lambda d: d["measures"][0]["results"][0].update(tau_b="x"),
                   lambda d: d["measures"][0].update(sign="?"), lambda d: d["measures"][0]["results"][0].update(tau_b=1.5)):
        broken = json.loads(sample.read_text())
        damage(broken)
        try:
            jsonschema.validate(broken, schema)
        except jsonschema.ValidationError:
            continue
        raise AssertionError("the schema lets a broken document through")

    # the browser may still write to its profile
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = pathlib.Path(folder) / "report.html"
        html = subprocess.run([sys.argv[1], sample, "html"], capture_output=True, check=True).stdout
        page.write_bytes(html)
        browser = subprocess.Popen([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}/profile",
                                    "--window-size=1200,1600", "about:blank"], stderr=subprocess.PIPE, text=True)
        try:
            line = ""
            while "DevTools listening on" not in line:
                line = browser.stderr.readline()
                assert line, "Chromium did not start"
            port = re.search(r":(\d+)/", line).group(1)
            targets = json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/json").read())
            tools = DevTools(next(t for t in targets if t["type"] == "page")["webSocketDebuggerUrl"])
            for domain in ("Runtime", "Network", "Log", "Page"):
                tools.call(domain + ".enable")
            open_page(tools, page)
            check_page(tools, document)
            check_reasons(tools, sample, pathlib.Path(folder) / "empty.json")
            problems = [e for e in tools.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening")
                        or (e["method"] == "Runtime.consoleAPICalled" and e["params"]["type"] in ("error", "warning"))]
            assert not problems, problems
            urls = [e["params"]["request"]["url"] for e in tools.events if e["method"] == "Network.requestWillBeSent"]
            assert any(u.startswith("file:") for u in urls), "requests were not watched"
            assert all(u.startswith(("file:", "data:", "about:")) for u in urls), urls
        finally:
            browser.kill()
            browser.wait()
    print("1 passed, 0 failed")


def column(tools, index):
    return tools.evaluate(f"[...document.querySelectorAll('#ranking tbody tr')].map(r => r.cells[{index}].textContent)")


def ids(tools):
    return tools.evaluate("[...document.querySelectorAll('#ranking tbody tr')].map(r => r.dataset.id)")


def numbers(texts):
    return [float(t.replace("−", "-")) for t in texts if re.fullmatch(r"[−\d.e]+", t)]


class near(float):
    """Equal to a number within 0.01."""

    def __eq__(self, other):
        return abs(other - float(self)) < 0.01


def check_page(tools, document):
    measures = document["measures"]
    assert tools.evaluate("document.getElementById('title').textContent") == document["title"]
    assert tools.evaluate("window.hacked") is None
    assert sorted(ids(tools)) == sorted(m["id"] for m in measures)
    # opens sorted by tau-b against the first gap, largest first, those without one last
    wanted = [m["id"] for m in sorted(measures, key=lambda m: (m["results"][0]["tau_b"] is None, -(m["results"][0]["tau_b"] or 0)))]
    assert ids(tools) == wanted, ids(tools)
    assert ids(tools)[-1] == "flat"
    texts = column(tools, 3)
    assert "−0.000" not in texts and "0.600" in texts and "−0.600" in texts and "constant-measure" in texts, texts
    # the grids: values, reasons, the marked minimum, sorting
    alpha = next(m for m in measures if m["id"] == "alpha")["results"][0]
    grid = "[...document.querySelectorAll('#{} tbody tr[data-id=alpha] td')].map(c => c.{})"
    shown = [t.split(" ")[0] for t in tools.evaluate(grid.format("statistics", "textContent"))]
    values = [alpha["statistics"][s["id"]]["value"] for s in document["statistics"]]
    assert shown == ["–" if v is None else f"{v:.3f}" for v in values], shown
    titles = tools.evaluate(grid.format("statistics", "title"))
    assert alpha["statistics"]["pgdl"]["reason"] in titles, titles
    assert tools.evaluate(grid.format("psi", "textContent")) == [f"{a['psi']['value']:.3f}" for a in alpha["axes"]]
    assert f"{alpha['axes'][0]['cells']['used']} of {alpha['axes'][0]['cells']['possible']} cells" in tools.evaluate(grid.format("psi", "title"))[0]
    assert tools.evaluate(grid.format("information", "textContent")) == [f"{v:.3f}" for v in alpha["information"]["jiang"]]
    marked = tools.evaluate(grid.format("information", "classList.contains('marked')"))
    assert [i for i, v in enumerate(marked) if v] == [alpha["information"]["jiang_set"]], marked
    tools.evaluate("document.querySelectorAll('#statistics thead button')[1].click()")
    psi = numbers([t.split(" ")[0] for t in tools.evaluate("[...document.querySelectorAll('#statistics tbody tr')].map(r => r.cells[2].textContent)")])
    assert len(psi) > 2 and psi == sorted(psi, reverse=True), psi
    cdf = tools.evaluate(grid.format("cdf", "textContent"))
    assert len(cdf) == 11 and all(abs(float(t) - alpha["sign_error"]["cdf"][10 * i + 9]) < 0.0051 for i, t in enumerate(cdf[:10])), cdf
    assert near(cdf[10]) == alpha["statistics"]["sign_error_mean"]["value"], cdf
    axis = alpha["axes"][0]
    tools.evaluate(f"(e => {{ e.value = '{axis['axis']}'; e.dispatchEvent(new Event('change')); }})(document.getElementById('environments'))")
    cdf = tools.evaluate(grid.format("cdf", "textContent"))
    assert all(near(t) == axis["sign_error"]["cdf"][2 * i + 1] for i, t in enumerate(cdf[:10])) and near(cdf[10]) == axis["sign_error"]["mean"], cdf
    assert document["protocols"][0]["evidence"][0]["text"] in tools.evaluate("document.getElementById('evidence').textContent")
    assert tools.evaluate(grid.format("groups", "textContent")) == [f"{g['tau_b']:.3f}" for g in alpha["groups"]]
    families = alpha["sign_error"]["families"]
    assert tools.evaluate("[...document.querySelectorAll('#families thead th')].map(t => t.textContent)")[1] == "lr 0.01 to 0.1"
    assert tools.evaluate(grid.format("families", "textContent")) == [f"{f['loss']:.2f}" for f in families]
    d = document["protocols"][0]["differences"][0]
    shown = tools.evaluate("[...document.querySelectorAll('#pairs tbody th, #pairs tbody td')].map(t => t.textContent.replaceAll('−', '-'))")
    assert shown == [d["measure"], d["other"]] + [f"{d[k]:.3f}" for k in ("value", "standard_error")] + [f"{d['low']:.3f} to {d['high']:.3f}"] + [
        f"{d[k]:.3f}" for k in ("p", "p_family")], shown
    assert document["protocols"][0]["noise_ceiling"]["text"] == tools.evaluate("document.getElementById('ceiling').textContent")
    # the critical-difference diagram: 10 ledgers, 1.3 2.2 2.9 3.6 with CD 1.483 -> two runs of measures not told apart
    labels = tools.evaluate("[...document.querySelectorAll('#diagram text')].map(t => t.textContent)")
    assert labels[:5] == ["CD 1.48", "1", "2", "3", "4"] and sorted(labels[5:]) == sorted(
        ["alpha 1.30", "num-params 2.20", "2.90 beta", "3.60 <script>alert(1)</script>"]), labels
    bars = tools.evaluate("[...document.querySelectorAll('#diagram .clique')].map(l => [...l.points].map(p => [p.x, p.y]))")
    at = [310 + 440 * (r - 1) / 3 for r in (1.3, 2.2, 2.9, 3.6)]
    assert [[p[0] for p in bar] for bar in bars] == [[near(at[0] - 4), near(at[1] + 4)], [near(at[1] - 4), near(at[3] + 4)]], bars
    assert bars[0][0][1] != bars[1][0][1], "two bars that share a measure lie on one line"
    tools.evaluate("(s => { s.value = 1; s.dispatchEvent(new Event('change')); })(document.getElementById('compared'))")
    assert tools.evaluate("document.querySelectorAll('#diagram .clique').length") == 1
    assert "Not told apart: alpha and beta." in tools.evaluate("document.getElementById('difference').textContent")
    # the chosen measure: its statistics with intervals, by a link too
    tools.evaluate("new Promise(done => { addEventListener('hashchange', () => setTimeout(done)); location.hash = '#beta'; })")
    assert tools.evaluate("document.getElementById('measure').value") == "beta"
    beta = next(m for m in measures if m["id"] == "beta")["results"][0]["statistics"]["psi"]
    shown = tools.evaluate("[...document.querySelectorAll('#detail [data-id=psi] td')].map(c => c.textContent.replaceAll('−', '-'))")
    assert shown[1] == f"{beta['interval']['low']:.3f} to {beta['interval']['high']:.3f}", shown
    # a click on a heading sorts, another reverses, missing stays last
    click = "document.querySelector('#ranking [data-key={}] button').click()"
    tools.evaluate(click.format("tau_b"))
    ascending = numbers(column(tools, 3))
    assert len(ascending) == 5 and ascending == sorted(ascending), ascending
    assert ids(tools)[-1] == "flat"
    assert tools.evaluate("document.querySelector('#ranking [data-key=tau_b]').getAttribute('aria-sort')") == "ascending"
    tools.evaluate(click.format("p_value"))
    descending = numbers(column(tools, 6))
    assert len(descending) == 4 and descending == sorted(descending, reverse=True), descending
    tools.evaluate(click.format("measure"))
    assert ids(tools) == sorted(ids(tools), key=str.lower), ids(tools)
    # the other gap: other numbers, other sentences
    before = tools.evaluate("document.getElementById('evidence').textContent")
    assert "1 of 4 measures has a 95 % interval above 0: alpha." in before, before
    tools.evaluate(click.format("tau_b"))
    tools.evaluate("(s => { s.value = 1; s.dispatchEvent(new Event('change')); })(document.getElementById('gap'))")
    assert ids(tools)[0] == "beta" and column(tools, 3)[0] == "0.900"
    assert "no comparison of several ledgers" in tools.evaluate("document.getElementById('difference').textContent")
    assert tools.evaluate("document.querySelectorAll('#diagram svg').length") == 0
    assert document["protocols"][1]["evidence"][0]["text"] in tools.evaluate("document.getElementById('evidence').textContent")
    assert "above 0: beta." in tools.evaluate("document.getElementById('evidence').textContent")
    # baselines and filter
    tools.evaluate("document.getElementById('baselines').click()")
    assert sorted(ids(tools)) == sorted(m["id"] for m in measures if m["kind"] == "measure")
    tools.evaluate("(f => { f.value = 'SPECTRAL'; f.dispatchEvent(new Event('input')); })(document.getElementById('filter'))")
    assert ids(tools) == ["beta"], ids(tools)
    tools.evaluate("(f => { f.value = ''; f.dispatchEvent(new Event('input')); })(document.getElementById('filter'))")
    # the chart: a point per model with a value, coloured by the levels of the axis, and pixels on the canvas
    chart = "Chart.getChart(document.getElementById('scatter'))"
    for axis, levels in (("lr", ["0.01", "0.1"]), ("network", ["fcn", "nin"]), ("", ["models"])):
        tools.evaluate(f"(s => {{ s.value = '{axis}'; s.dispatchEvent(new Event('change')); }})(document.getElementById('axis'))")
        assert tools.evaluate(chart + ".data.datasets.map(d => d.label)") == levels
    tools.evaluate("document.querySelector('#ranking tbody tr[data-id^=\"<script>\"]').click()")
    points = tools.evaluate(chart + ".data.datasets.flatMap(d => d.data.map(p => [p.model.id, p.x, p.y]))")
    expected = [[m["id"], m["measures"]["<script>alert(1)</script>"], m["gaps"]["gap_loss"]] for m in document["models"] if m["id"] not in ("m0", "m1")]
    assert sorted(points) == sorted(expected), points
    filled = tools.evaluate("(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; "
                            "return n; })(document.getElementById('scatter'))")
    assert filled > 2000, filled
    assert tools.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), "the page scrolls sideways"


main()
