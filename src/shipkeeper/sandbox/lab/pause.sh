#!/bin/sh
# Stands for pause, kube-proxy and CoreDNS: there until it is told to go.
trap 'exit 0' TERM INT
sleep infinity &
wait
