// Package metrics counts what an operator wants to see on a graph.
//
// Holds: the Prometheus collectors of this program and the handler that shows
// them.
//
// May import: nothing of this program.
//
// Never: a label whose values users choose; user ids, addresses, tokens.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the collectors of one server. All of its methods may be called
// at once.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	tokens   *prometheus.CounterVec
	endings  *prometheus.CounterVec
}

// New makes the collectors, with those of the Go runtime and the process.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "lethe_http_request_seconds",
			Help:    "Time to answer a request, by route, method and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method", "status"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lethe_token_checks_total",
			Help: "Access tokens checked, by how: cached, read from the database, or refused.",
		}, []string{"result"}),
		endings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lethe_deactivations_total",
			Help: "Accounts ended, by whether their content was erased.",
		}, []string{"erase"}),
	}
	m.registry.MustRegister(m.requests, m.tokens, m.endings,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Request records one answered request. route is the pattern, "" for none.
func (m *Metrics) Request(route, method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions:
	default:
		method = "other" // methods are the client's to invent
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}

// TokenCheck records how an access token was checked: "cached", "read" or
// "refused".
func (m *Metrics) TokenCheck(result string) { m.tokens.WithLabelValues(result).Inc() }

// Ended records an account that was ended.
func (m *Metrics) Ended(erase bool) { m.endings.WithLabelValues(strconv.FormatBool(erase)).Inc() }

// Gauge registers a figure that is read when the metrics are: what work is
// pending, say. It is called once per name, at start.
func (m *Metrics) Gauge(name, help string, labels map[string]string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(
		prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read))
}

// Handler shows all metrics in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
