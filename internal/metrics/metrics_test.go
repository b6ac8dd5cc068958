package metrics_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lethe/internal/metrics"
)

// scrape is what Prometheus reads, line by line.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Fatalf("/metrics is %d %s", w.Code, w.Header().Get("Content-Type"))
	}
	return "\n" + w.Body.String()
}

func TestMetricsCount(t *testing.T) {
	m := metrics.New()
	m.Request("/login", "POST", 200, 3*time.Millisecond)
	m.Request("/login", "POST", 200, 3*time.Second)
	m.Request("", "GET", 404, 0)
	m.TokenCheck("cached")
	m.Ended(true)
	m.Ended(false)
	value := 1.5
	m.Gauge("lethe_jobs", "Work.", map[string]string{"state": "stuck"}, func() float64 { return value })
	value = 2
	got := scrape(t, m)
	for _, want := range []string{
		`lethe_http_request_seconds_count{method="POST",route="/login",status="200"} 2`,
		`lethe_http_request_seconds_sum{method="POST",route="/login",status="200"} 3.003`,
		`lethe_http_request_seconds_bucket{method="POST",route="/login",status="200",le="0.005"} 1`,
		`lethe_http_request_seconds_count{method="GET",route="",status="404"} 1`,
		`lethe_token_checks_total{result="cached"} 1`,
		`lethe_deactivations_total{erase="true"} 1`,
		`lethe_deactivations_total{erase="false"} 1`,
		`lethe_jobs{state="stuck"} 2`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("there is no %s", want)
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(got, "\n"+name+" ") {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestClientsInventNoLabels(t *testing.T) {
	m := metrics.New()
	for _, method := range []string{"PATCH", "BREW", "@alice:example.org", "get"} {
		m.Request("/a", method, 405, 0)
	}
	got := scrape(t, m)
	if !strings.Contains(got, `lethe_http_request_seconds_count{method="other",route="/a",status="405"} 4`) || strings.Contains(got, "alice") {
		t.Errorf("methods are labels:\n%s", got)
	}
}

func TestServersDoNotShareMetrics(t *testing.T) {
	one, other := metrics.New(), metrics.New()
	one.Ended(true)
	if strings.Contains(scrape(t, other), "lethe_deactivations_total{") {
		t.Error("an account that ended at one server is counted at another")
	}
}
