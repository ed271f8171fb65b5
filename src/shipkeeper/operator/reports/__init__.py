"""AccessReport and CertificateReport: the rooms of access/, on a schedule."""
