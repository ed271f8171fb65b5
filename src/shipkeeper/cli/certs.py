"""`shipkeeper certs`: every certificate of a cluster."""

from cyclopts import App

certs = App(name="certs")
for name, module, function, summary in (
    ("list", "certs_look", "list_", "Show every certificate, what ends first at the top."),
    ("check", "certs_look", "check", "Find what is wrong with certificates and ports."),
    ("renew", "certs_renew", "renew", "Renew a control plane's certificates over SSH."),
    ("rotate-ca", "certs_rotate", "rotate_ca", "Replace an authority, stage by stage."),
    ("approve", "certs_approve", "approve_", "Approve kubelets' requests, each vetted first."),
):
    certs.command(f"shipkeeper.cli.{module}:{function}", name=name, help=summary)
