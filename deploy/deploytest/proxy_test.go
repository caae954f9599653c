//go:build deploy

// Package deploytest_test runs what deploy/ has with the real nginx, Caddy and Podman: make test-deploy.
package deploytest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
)

// patience is how long what must come may take.
const patience = time.Minute

// sharedLog is the server's log, which is read while it is written.
type sharedLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *sharedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *sharedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// site is a server behind a proxy.
type site struct {
	apptest.Server
	log  *sharedLog
	http *http.Client // trusts the proxy's certificate, and comes from 127.0.0.2
}

// proxied starts a server, and a proxy before it with the function, which is given the proxy's port, the server's
// address, and files with a certificate and its key.
func proxied(t *testing.T, start func(t *testing.T, dir string, port int, upstream, cert, key string)) *site {
	t.Helper()
	dir := t.TempDir()
	port := freePort(t)
	s := &site{log: &sharedLog{}}
	upstream := ""
	s.Server = apptest.Start(t, func(c *app.Config) {
		upstream = c.Listener.Addr().String()
		c.RootURL = fmt.Sprintf("https://127.0.0.1:%d", port)
		c.Log = slog.New(slog.NewJSONHandler(s.log, nil))
		var err error
		if c.Proxies, err = web.ParseProxies("127.0.0.1"); err != nil {
			t.Fatal(err)
		}
	})
	start(t, dir, port, upstream, certFile, keyFile)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	s.http = &http.Client{Transport: transport, Jar: jar}
	await(t, "the proxy and the server answer", func() error {
		answer, err := s.http.Get(s.URL + "/__heartbeat__")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	})
	return s
}

func await(t testing.TB, what string, try func() error) {
	t.Helper()
	awaitFor(t, patience, what, try)
}

func awaitFor(t testing.TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// What all proxies show: a certificate that this process trusts, workers too.
var certFile, keyFile string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "deploytest-")
	if err == nil {
		certFile, keyFile, err = certificate(dir)
	}
	if err = errors.Join(err, os.Setenv("SSL_CERT_FILE", certFile)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// certificate makes one for 127.0.0.1, in files.
func certificate(dir string) (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err = errors.Join(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	if err != nil {
		return "", "", err
	}
	return cert, key, nil
}

// run keeps a program running until the test ends.
func run(t *testing.T, name string, env []string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	out := &sharedLog{}
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (tools/need proxies installs it)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()                          // how it ends does not matter
		if t.Failed() {
			t.Logf("%s: %s", name, out)
		}
	})
}

func text(t testing.TB, name string) string {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func startNginx(t *testing.T, dir string, port int, upstream, cert, key string) {
	t.Helper()
	conf := strings.NewReplacer("127.0.0.1:8080", upstream, "listen 443", fmt.Sprintf("listen 127.0.0.1:%d", port), "ci.example.com;", "127.0.0.1;",
		"/etc/ssl/ci.example.com.pem", cert, "/etc/ssl/ci.example.com.key", key).Replace(text(t, "../nginx/treeline.conf"))
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	main := user + "daemon off;\npid " + dir + "/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		main += kind + "_temp_path " + filepath.Join(dir, kind) + ";\n"
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(main+conf+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "nginx", nil, "-e", "stderr", "-c", file)
}

func startCaddy(t *testing.T, dir string, port int, upstream, cert, key string) {
	t.Helper()
	// Caddy would ask an authority for a certificate; here it is given one.
	conf := "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + strings.Replace(text(t, "../caddy/Caddyfile"), "\treverse_proxy", "\ttls "+cert+" "+key+"\n\treverse_proxy", 1)
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "caddy", []string{fmt.Sprintf("TREELINE_SITE=https://127.0.0.1:%d", port), "TREELINE_UPSTREAMS=" + upstream, "HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir},
		"run", "--adapter", "caddyfile", "--config", file)
}

func TestBehindAProxy(t *testing.T) {
	for name, start := range map[string]func(*testing.T, string, int, string, string, string){"nginx": startNginx, "Caddy": startCaddy} {
		t.Run(name, func(t *testing.T) {
			s := proxied(t, start)
			root, err := client.New(client.Config{RootURL: s.URL, Credentials: s.Root, HTTP: s.http})
			if err != nil {
				t.Fatal(err)
			}
			t.Run("signatures verify", func(t *testing.T) { signatures(t, s, root) })
			t.Run("the server knows the client's address", func(t *testing.T) { addresses(t, s) })
			t.Run("events arrive while the stream is open", func(t *testing.T) { events(t, s, root) })
			t.Run("an artifact of 150 MB passes in one request", func(t *testing.T) { bigArtifact(t, s, root) })
			t.Run("a worker claims, and its task's shell opens", func(t *testing.T) { shellOf(t, s, root) })
		})
	}
}

func definition(queue string, payload map[string]any) map[string]any {
	now := time.Now()
	return map[string]any{
		"taskQueueId": queue, "schedulerId": "test", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": task.At(now.Add(2 * time.Hour)),
		"payload": payload, "metadata": map[string]any{"name": "behind a proxy", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
	}
}

// signatures makes calls whose signature holds the body's hash, a path with odd characters, and one that is wrong.
func signatures(t *testing.T, s *site, root *client.Client) {
	input := map[string]any{"expires": task.At(time.Now().Add(time.Hour)), "description": "made behind a proxy", "scopes": []string{"queue:claim-work:a/b"}}
	var made struct{ ClientID string }
	if err := root.Call(t.Context(), "auth", http.MethodPut, "/clients/"+url.PathEscape("test/behind+a@proxy"), nil, input, &made); err != nil || made.ClientID != "test/behind+a@proxy" {
		t.Errorf("a body and a path: %q, %v", made.ClientID, err)
	}
	wrong, err := client.New(client.Config{RootURL: s.URL, Credentials: hawk.Credentials{ClientID: s.Root.ClientID, AccessToken: slug.New() + slug.New()}, HTTP: s.http, Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong.Call(t.Context(), "auth", http.MethodPut, "/clients/test%2Fother", nil, input, nil); err == nil {
		t.Error("a wrong token is taken")
	}
}

// addresses looks for the client's address in the log, and that what the client itself says of it is not believed.
func addresses(t *testing.T, s *site) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/queue/v1/task/"+slug.Nice(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "6.6.6.6")
	answer, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the log has the client's address", func() error {
		if !strings.Contains(s.log.String(), `"127.0.0.2"`) {
			return errors.New("it does not")
		}
		return nil
	})
	if strings.Contains(s.log.String(), "6.6.6.6") {
		t.Error("what a client says of its address is believed")
	}
}

// stream is a stream of events that is open.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

// openStream opens the stream of events through the proxy, and returns when it has begun. The context ends it.
func openStream(ctx context.Context, t *testing.T, s *site) stream {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/events/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	sign(t, req, s.Root)
	answer, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() }) // it ends with the context
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("the stream: %s", answer.Status)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		t.Fatalf("the stream does not begin: %v", lines.Err())
	}
	return stream{t, lines}
}

// await reads until an event names the id.
func (s stream) await(id string) {
	s.t.Helper()
	for s.lines.Scan() {
		if strings.HasPrefix(s.lines.Text(), "data: ") && strings.Contains(s.lines.Text(), id) {
			return
		}
	}
	s.t.Fatalf("the event of %s did not come, the stream ended: %v", id, s.lines.Err())
}

// events opens the stream, makes a task, and waits for its event: a proxy that collects answers would keep it.
func events(t *testing.T, s *site, root *client.Client) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	open := openStream(ctx, t, s)
	id := slug.Nice()
	began := time.Now()
	if _, err := root.CreateTask(ctx, id, definition("test/nobody", map[string]any{})); err != nil {
		t.Fatal(err)
	}
	open.await(id)
	t.Logf("the event was here %s after the call began", time.Since(began).Round(time.Millisecond))
}

func sign(t testing.TB, req *http.Request, c hawk.Credentials) {
	t.Helper()
	header, err := hawk.Header(c, req.Method, req.URL.String(), time.Now(), slug.New(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", header)
}

const bigSize = 150 << 20

func bigArtifact(t *testing.T, s *site, root *client.Client) {
	ctx := t.Context()
	id := slug.Nice()
	if _, err := root.CreateTask(ctx, id, definition("test/big", map[string]any{})); err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Tasks []struct {
			Credentials hawk.Credentials
		}
	}
	if err := root.Call(ctx, "queue", http.MethodPost, "/claim-work/test%2Fbig", nil, map[string]any{"tasks": 1, "workerGroup": "g", "workerId": "w"}, &claims); err != nil || len(claims.Tasks) != 1 {
		t.Fatalf("%d claims, %v", len(claims.Tasks), err)
	}
	worker, err := client.New(client.Config{RootURL: s.URL, Credentials: claims.Tasks[0].Credentials, HTTP: s.http})
	if err != nil {
		t.Fatal(err)
	}
	var place struct{ PutURL string }
	err = worker.Call(ctx, "queue", http.MethodPost, "/task/"+id+"/runs/0/artifacts/public%2Fbig", nil,
		map[string]any{"storageType": "s3", "contentType": "application/octet-stream", "expires": task.At(time.Now().Add(time.Hour))}, &place)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, bigSize)
	rand.Read(body)
	sum := sha256.Sum256(body)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, place.PutURL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	answer, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", answer.Status, said, err)
	}
	get, err := s.http.Get(s.URL + "/api/queue/v1/task/" + id + "/runs/0/artifacts/public/big")
	if err != nil {
		t.Fatal(err)
	}
	defer get.Body.Close()
	h := sha256.New()
	if n, err := io.Copy(h, get.Body); err != nil || n != bigSize || !bytes.Equal(h.Sum(nil), sum[:]) {
		t.Errorf("%s: %d bytes came back with sha256 %s, %v", get.Status, n, hex.EncodeToString(h.Sum(nil)), err)
	}
}

func shellOf(t *testing.T, s *site, root *client.Client) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- workers.Run(ctx, workers.Config{Client: root, TaskQueueID: "test/shell", WorkerGroup: "g", WorkerID: "w", Dir: dir, Grace: time.Second, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	id := slug.Nice()
	if _, err := root.CreateTask(t.Context(), id, definition("test/shell", map[string]any{
		"command": [][]string{{"sh", "-c", "echo ready"}}, "maxRunTime": 600,
		"features": map[string]bool{"interactive": true}, "env": map[string]string{"TASKCLUSTER_INTERACTIVE": "true", "HOME": dir}})); err != nil {
		t.Fatal(err)
	}
	await(t, "the shell's artifact", func() error {
		_, err := root.Locate(t.Context(), id, client.LatestRun, "private/generic-worker/shell.html")
		return err
	})
	signIn(t, s)
	dialCtx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var conn *websocket.Conn
	await(t, "the shell opens", func() (err error) {
		conn, _, err = websocket.Dial(dialCtx, s.URL+"/shell/"+id+"/0/socket", &websocket.DialOptions{HTTPClient: s.http, HTTPHeader: http.Header{"Origin": {s.URL}}})
		return err
	})
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(1 << 20)
	if err := conn.Write(dialCtx, websocket.MessageBinary, []byte("\x01echo proxied-$((6*7)); exit\r")); err != nil {
		t.Fatal(err)
	}
	shown := ""
	for !strings.Contains(shown, "proxied-42") {
		_, message, err := conn.Read(dialCtx)
		if err != nil {
			t.Fatalf("%v after %q", err, shown)
		}
		shown += string(message)
	}
}

var hidden = regexp.MustCompile(`name="(\w+)" value="([^"]*)"`)

// signIn gives the client's cookie jar a session.
func signIn(t *testing.T, s *site) {
	t.Helper()
	page, err := s.http.Get(s.URL + "/login")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(page.Body)
	if err = errors.Join(err, page.Body.Close()); err != nil {
		t.Fatal(err)
	}
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(string(body), -1) {
		form.Set(m[1], m[2])
	}
	form.Set("clientId", s.Root.ClientID)
	form.Set("accessToken", s.Root.AccessToken)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", s.URL)
	answer, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("sign in: %s, %v", answer.Status, err)
	}
}
