// Package alerts has Prometheus' own tool read and try the alerts in docs/alerts.
// It needs the network, for that tool.
package alerts
