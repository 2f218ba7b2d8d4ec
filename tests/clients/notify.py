"""Calls a server as the official Python client of GOV.UK Notify does.

usage: notify.py BASE_URL API_KEY

API_KEY is NAME-SERVICE_ID-SECRET, the last two UUIDs. Prints one line of JSON
with what became of each call: `get` of one notification, `list` of those of a
status (in the query), and `post` of an email:
  {"status": 200, "result": what the client returned}
  {"status": 403, "error": what it said}, with the status null if no answer came
Fails only if it could not report. It ends after 20 seconds at the latest.
"""

import json
import signal
import sys

from notifications_python_client.errors import APIError
from notifications_python_client.notifications import NotificationsAPIClient

LIMIT_SECONDS = 20
NOTIFICATION = "5a1d8cb2-9c1e-4a07-8b7b-0c3a5a0f3d11"
TEMPLATE = "2f6c2b1e-7d55-4c0b-9f6a-6f3d1c9b8e22"

signal.alarm(LIMIT_SECONDS)
base_url, api_key = sys.argv[1:]
client = NotificationsAPIClient(api_key, base_url=base_url)

# The client returns bodies alone.
statuses = []
client.request_session.hooks["response"].append(
    lambda response, **_: statuses.append(response.status_code)
)


def report(call):
    statuses.clear()
    try:
        result = call()
    except APIError as error:
        return {"status": statuses[-1] if statuses else None, "error": error.message}
    return {"status": statuses[-1], "result": result}


print(json.dumps({
    "get": report(lambda: client.get_notification_by_id(NOTIFICATION)),
    "list": report(lambda: client.get_all_notifications(status="delivered", template_type="email")),
    "post": report(lambda: client.send_email_notification(
        "someone@example.com", TEMPLATE, personalisation={"name": "Zoë / “Ann”"}, reference="one",
    )),
}))
