"""Fetches one source archive from the index that pip is set up to use, and checks its hash. Nothing of it is run."""

import hashlib
import html
import os
import re
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request


def pip_setting(name):
    """A setting of pip's, from its environment variable or its configuration files; None if it is not set."""
    value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if value:
        return value
    command = [sys.executable, "-m", "pip", "config", "get", "global." + name]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() or None


def index_url():
    """The index that pip would ask."""
    configured = pip_setting("index-url")
    if configured:
        return configured
    from pip._internal.models.index import PyPI

    return PyPI.simple_url


def get(url):
    """The body behind `url`."""
    context = ssl.create_default_context(cafile=pip_setting("cert"))
    with urllib.request.urlopen(url, timeout=60, context=context) as answer:
        return answer.read()


def archive_url(project, file):
    """Where the project's page says that the file is."""
    page = index_url().rstrip("/") + "/" + project + "/"
    links = re.findall(r'href="([^"]+)"', get(page).decode())
    for link in map(html.unescape, links):
        if urllib.parse.urlsplit(link).path.endswith("/" + file):
            return urllib.parse.urldefrag(urllib.parse.urljoin(page, link)).url
    sys.exit(f"{file} is not in the package index")


def has_hash(path, sha256):
    """Whether the file is there with that content."""
    if not os.path.exists(path):
        return False
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest() == sha256


def main(project, target, sha256):
    if has_hash(target, sha256):
        return
    part = target + ".part"
    with open(part, "wb") as file:
        file.write(get(archive_url(project, os.path.basename(target))))
    if not has_hash(part, sha256):
        os.remove(part)
        sys.exit(f"{os.path.basename(target)} does not have the pinned hash")
    os.rename(part, target)


main(*sys.argv[1:])
