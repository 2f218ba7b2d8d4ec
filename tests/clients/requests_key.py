"""Presents an API key in every way, with the Python library `requests`.

usage: requests_key.py URL KEY

Gets URL once for each way and prints one line of JSON, way -> {"status",
"www_authenticate", "cache_control", "body"}; headers that did not come are null.
  header                X-API-Key: KEY
  scheme                Authorization: ApiKey KEY
  scheme_in_lower_case  Authorization: apikey KEY
  bearer                Authorization: Bearer KEY
  basic_password        Authorization: Basic, of the user `apikey`
  basic_user            Authorization: Basic, with KEY as user and no password
  two                   X-API-Key: KEY, and Authorization: ApiKey KEY
It ends after 20 seconds at the latest.
"""

import json
import signal
import sys

import requests

LIMIT_SECONDS = 20

signal.alarm(LIMIT_SECONDS)
url, key = sys.argv[1:]

WAYS = {
    "header": {"headers": {"X-API-Key": key}},
    "scheme": {"headers": {"Authorization": f"ApiKey {key}"}},
    "scheme_in_lower_case": {"headers": {"Authorization": f"apikey {key}"}},
    "bearer": {"headers": {"Authorization": f"Bearer {key}"}},
    "basic_password": {"auth": ("apikey", key)},
    "basic_user": {"auth": (key, "")},
    "two": {"headers": {"X-API-Key": key, "Authorization": f"ApiKey {key}"}},
}


def present(way):
    answer = requests.get(url, allow_redirects=False, timeout=LIMIT_SECONDS, **way)
    return {
        "status": answer.status_code,
        "www_authenticate": answer.headers.get("WWW-Authenticate"),
        "cache_control": answer.headers.get("Cache-Control"),
        "body": answer.text,
    }


print(json.dumps({name: present(way) for name, way in WAYS.items()}))
