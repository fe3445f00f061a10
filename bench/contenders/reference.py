"""
A stand-in for the reference Python client: it does what that one does, for the same calls. It reads the whole file for an
upload, lets `requests` build the form in memory, and takes a download's whole body before it writes it.
`python3 reference.py upload|download URL PATH [BYTES]`
"""

import json
import sys
import time

import requests

what, url, path = sys.argv[1:4]
began = time.perf_counter()
if what == "upload":
    with open(path, "rb") as file:
        response = requests.post(
            url + "/",
            data={"expires": "14d", "maxDownloads": 1, "autoDelete": True},
            files={"file": ("bench.bin", file)},
            headers={"accept": "application/json"},
        )
    response.json()
else:
    response = requests.get(url + "/bytes" + sys.argv[4].zfill(12), headers={"accept": "*/*"})
    with open(path, "wb") as file:
        file.write(response.content)
print(json.dumps({"wallS": time.perf_counter() - began}))
