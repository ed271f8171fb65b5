"""`shipkeeper access`: who may do what, why, and what is too much."""

from cyclopts import App

access = App(name="access")
for name, module, function, summary in (
    ("can-i", "access_ask", "can_i", "Tell whether somebody may do something."),
    ("who-can", "access_ask", "who_can", "List everybody who may do something."),
    ("explain", "access_ask", "explain", "Explain a yes, and what comes near on a no."),
    ("matrix", "access_ask", "matrix", "Show what subjects may do with resources."),
    ("diff", "access_compare", "diff", "Tell who gains and loses what by a change."),
    ("audit", "access_audit", "audit", "Find ways to more power, and CIS controls that fail."),
    ("suggest", "access_tighten", "suggest", "Suggest least-privilege roles from audit logs."),
    ("convert", "access_tighten", "convert", "Turn an ABAC policy file into RBAC, proven equal."),
    ("serve", "access_serve", "serve", "Answer SubjectAccessReviews as a webhook."),
):
    access.command(f"shipkeeper.cli.{module}:{function}", name=name, help=summary)
