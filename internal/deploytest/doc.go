// Package deploytest holds what lies in deploy/ to what the program does: the image's steps are run, the unit is looked at
// by systemd, rules and dashboard ask only for metrics that a running gatehouse has, and the runbook's commands exist.
// It has nothing but tests.
package deploytest
