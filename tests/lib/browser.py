"""Headless Chromium for tests of pages: driven by chromedriver, without a network, and with every message
of its console kept."""

import base64
import os
import shutil
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from network_test import own_port
from vestige_test import wait_for

__all__ = ["ActionChains", "Browser", "By", "Keys"]


class Browser:
    def __init__(self, width=1280, height=860):
        self.profile = tempfile.mkdtemp(prefix="vestige-browser-")
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     f"--window-size={width},{height}", f"--user-data-dir={self.profile}",
                     "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver", port=own_port()), options=options)
        self.driver.set_page_load_timeout(180)
        self.driver.set_script_timeout(180)
        self.resize(width, height)

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    def resize(self, width, height):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def prefer(self, scheme):
        """light or dark"""
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": scheme}]})

    def open(self, path):
        """Seconds until the page is there and its script has run."""
        begin = time.monotonic()
        self.driver.get("file://" + os.path.abspath(path))
        return time.monotonic() - begin

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, script, what, seconds=60):
        """The value of a script, once it is true."""
        return wait_for(lambda: self.run(script), seconds, what)

    def console(self):
        """What was said on the console, refused loads and broken policies included; not that it is slow
        to read pixels, which only tests do."""
        return [entry for entry in self.driver.get_log("browser")
                if "willReadFrequently" not in entry["message"]]

    def screenshot(self, path):
        with open(path, "wb") as stream:
            stream.write(self.driver.get_screenshot_as_png())

    def pdf(self, path):
        """As --print-to-pdf does."""
        done = self.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True,
                                                               "preferCSSPageSize": True})
        with open(path, "wb") as stream:
            stream.write(base64.b64decode(done["data"]))
