#!/bin/bash
# What the workshop's webhook runs for each alert; RAN counts what was really run.
echo "healing $1"
[ -z "$RAN" ] || printf . >>"$RAN"
