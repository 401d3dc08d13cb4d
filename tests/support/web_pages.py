"""Open a page in a headless browser, and check that it is silent and fits a phone."""

import json
from pathlib import Path


def opened(browser, html):
    path = Path("page.html")
    path.write_text(html, encoding="utf-8")
    for kind in ("browser", "performance"):  # what came before is not ours
        browser.get_log(kind)
    browser.get(path.absolute().as_uri())
    return path.absolute().as_uri()


def check_silence(browser, address):
    """No console error, and no request but for the page itself."""
    assert browser.get_log("browser") == []
    events = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert {url for url in asked if not url.startswith("data:")} == {address}


def check_phone(browser):
    """On a screen of 390 pixels nothing reaches beyond the right edge."""
    screen = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    assert browser.execute_script("return window.innerWidth") == 390
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
