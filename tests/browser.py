"""A browser without a window or a GPU, in which tests look at pages."""

import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
)
STILL = 0.15  # s without a new picture, after which nothing moves


class Browser:
    """Chromium, as Debian has it, driven by selenium. Skips the test where one of them is missing."""

    def __init__(self):
        webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
        names = ("chromium", "chromium-browser", "google-chrome")
        program, driver = next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")
        if program is None or driver is None:
            pytest.skip("needs a browser and its driver: apt-get install chromium chromium-driver")
        options = webdriver.ChromeOptions()
        options.binary_location = program
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        for switch in SWITCHES:
            options.add_argument(switch)
        service = webdriver.ChromeService(executable_path=driver)
        self.driver: Any = webdriver.Chrome(options=options, service=service)
        self.resize(900, 700)
        self.prefer("prefers-reduced-motion", "reduce")

    def close(self) -> None:
        self.driver.quit()

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, feature: str, value: str) -> None:
        feature = {"features": [{"name": feature, "value": value}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)

    def open(self, page: Path) -> None:
        """Open a page and forget what others said."""
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(page.as_uri())

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def settle(self) -> None:
        """Wait until the head is drawn and stands still."""
        frames, since, end = None, time.monotonic(), time.monotonic() + 60
        while frames is None or time.monotonic() < since + STILL:
            assert time.monotonic() < end, self.log() or "nothing is drawn"
            before, frames = frames, self.run("return document.body.dataset.frames ?? null")
            if frames != before:
                since = time.monotonic()
            time.sleep(STILL / 5)

    def picture(self, selector: str) -> np.ndarray:
        """What an element looks like, once nothing moves: uint8 [height, width, 3]."""
        self.settle()
        box = self.run(
            "return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", selector
        )
        picture = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        return np.asarray(
            picture.crop([round(box[side]) for side in ("left", "top", "right", "bottom")]), np.uint8
        )

    def set(self, selector: str, value: float) -> None:
        """Move a slider."""
        self.run(
            "const slider = document.querySelector(arguments[0]); slider.value = arguments[1];"
            "slider.dispatchEvent(new Event('input'))",
            selector,
            value,
        )

    def log(self) -> list[str]:
        """What was written to the console, errors among it."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses of all that was asked for."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
