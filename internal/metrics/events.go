package metrics

import (
	"strconv"
	"strings"
	"time"
)

// Request counts a request. name is of a bounded set: an endpoint's, or a pattern of pages. The times of streams are left
// out: they last as long as somebody looks.
func (m *Metrics) Request(service, name, method string, status int, took time.Duration, stream bool) {
	class := strconv.Itoa(status/100) + "xx"
	m.requests.WithLabelValues(method, name, service, class).Inc()
	if !stream {
		m.seconds.WithLabelValues(method, name, service, class).Observe(took.Seconds())
	}
}

// Authenticated counts a request by how its credentials came.
func (m *Metrics) Authenticated(scheme string) { m.authSuccess.WithLabelValues(scheme).Inc() }

// Refused counts a request whose credentials were no good; broken: they could not be checked.
func (m *Metrics) Refused(broken bool) {
	reason := "refused"
	if broken {
		reason = "error"
	}
	m.authFailure.WithLabelValues(reason).Inc()
}

// line is a task queue in labels.
func (m *Metrics) line(taskQueueID string) (provisioner, workerType string) {
	return Split(m.queues.name(taskQueueID))
}

// Split is a task queue, or Other, in labels: provisionerId and workerType.
func Split(taskQueueID string) (provisioner, workerType string) {
	provisioner, workerType, ok := strings.Cut(taskQueueID, "/")
	if !ok {
		workerType = provisioner
	}
	return provisioner, workerType
}

// Created counts a task that was created.
func (m *Metrics) Created(taskQueueID string) {
	p, w := m.line(taskQueueID)
	m.defined.WithLabelValues(p, w).Inc()
}

// Claimed tells how long a run waited until a worker got it.
func (m *Metrics) Claimed(taskQueueID string, waited time.Duration) {
	p, w := m.line(taskQueueID)
	m.wait.WithLabelValues(p, w).Observe(positive(waited))
}

// Latency tells how long a run and a worker had waited for each other when they met.
func (m *Metrics) Latency(d time.Duration) { m.latency.Observe(positive(d)) }

// Resolved counts the end of a run by the state it ended in and the reason.
func (m *Metrics) Resolved(taskQueueID, state, reason string) {
	p, w := m.line(taskQueueID)
	switch state {
	case "completed":
		m.completed.WithLabelValues(p, w).Inc()
	case "failed":
		m.failed.WithLabelValues(p, reason, w).Inc()
	default:
		m.exception.WithLabelValues(p, reason, w).Inc()
	}
}

// Webhook tells what became of a webhook of GitHub; outcome is done, failed or again. The lag of what comes again is not
// known yet.
func (m *Metrics) Webhook(event, outcome string, lag time.Duration) {
	event = m.events.name(event)
	m.webhooks.WithLabelValues(event, outcome).Inc()
	if outcome != "again" {
		m.webhookLag.WithLabelValues(event).Observe(positive(lag))
	}
}

// Pool tells what a look at a worker pool found that there should be, and how long it took.
func (m *Metrics) Pool(providerID, poolID string, desired, most int, took time.Duration) {
	if poolID = m.pools.name(poolID); poolID != Other {
		m.desired.WithLabelValues(providerID, poolID).Set(float64(desired))
		m.most.WithLabelValues(providerID, poolID).Set(float64(most))
	}
	m.turns.WithLabelValues(providerID).Observe(took.Seconds())
}

// Registered tells how long a worker took from the request to its registration.
func (m *Metrics) Registered(providerID, poolID string, took time.Duration) {
	poolID = m.pools.name(poolID)
	m.registered.WithLabelValues(providerID, poolID).Observe(positive(took))
}
