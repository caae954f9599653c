package githubapi_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkWebhooksStored measures how many webhooks a second are stored and answered, eight at a time, and how long
// the slowest hundredth waits.
func BenchmarkWebhooksStored(b *testing.B) {
	d := open(b)
	body := []byte(`{"ref":"refs/heads/main","installation":{"id":5000000001},"repository":{"id":5000000002},"filler":"` + strings.Repeat("a word and another, ", 400) + `"}`)
	signature := sign(body, secret)
	var mu sync.Mutex
	var took []time.Duration
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			mu.Lock()
			n := len(took)
			took = append(took, 0)
			mu.Unlock()
			begun := time.Now()
			if got := d.send(b, "push", fmt.Sprintf("%d-%d", b.N, n), signature, body); got.Code != http.StatusAccepted {
				b.Error(got.Code, got.Body)
			}
			mu.Lock()
			took[n] = time.Since(begun)
			mu.Unlock()
		}
	})
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkAThousandWebhooksASecond offers so many over HTTP, whether those before were answered or not, and measures
// how long each waits for its answer, from when it was due.
func BenchmarkAThousandWebhooksASecond(b *testing.B) {
	const perSecond, span = 1000, 10 * time.Second
	d := open(b)
	server := httptest.NewServer(d)
	defer server.Close()
	c := server.Client()
	c.Transport.(*http.Transport).MaxIdleConnsPerHost = perSecond
	body := []byte(`{"ref":"refs/heads/main","installation":{"id":5000000001},"repository":{"id":5000000002},"filler":"` + strings.Repeat("a word and another, ", 400) + `"}`)
	signature := sign(body, secret)
	for b.Loop() {
		took := make([]time.Duration, perSecond*int(span/time.Second))
		var wait sync.WaitGroup
		begun := time.Now()
		for n := range took {
			due := begun.Add(time.Duration(n) * time.Second / perSecond)
			<-time.After(time.Until(due))
			wait.Go(func() {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+"/api/github/v1/github", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				for name, value := range map[string]string{
					"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": fmt.Sprintf("%d-%d", begun.UnixNano(), n), "X-Hub-Signature-256": signature,
				} {
					r.Header.Set(name, value)
				}
				answer, err := c.Do(r)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body) // a few words
				_ = answer.Body.Close()
				if answer.StatusCode != http.StatusAccepted {
					b.Error(answer.Status)
				}
				took[n] = time.Since(due)
			})
		}
		wait.Wait()
		b.ReportMetric(float64(len(took))/time.Since(begun).Seconds(), "webhooks/s")
		slices.Sort(took)
		for name, part := range map[string]int{"p50-ms": 50, "p99-ms": 99} {
			b.ReportMetric(float64(took[len(took)*part/100].Microseconds())/1000, name)
		}
		b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
	}
	b.ReportMetric(0, "ns/op")
}
