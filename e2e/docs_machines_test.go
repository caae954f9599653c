package e2e_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/docs/command"
	"github.com/treeline-ci/treeline/internal/awstest"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/sys"
)

// bringSTS puts a double in the place of Amazon's service that federates, which wants to be asked for what the page asks, and
// gives the page keys where it leaves them out.
func (r *reader) bringSTS() {
	r.t.Helper()
	const secret = "the secret of a test"
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err == nil {
			err = awstest.Account{KeyID: awstest.KeyID, Secret: secret, Region: "us-east-1", Service: "sts"}.Check(q, body)
		}
		form, bad := url.ParseQuery(string(body))
		if err != nil || bad != nil || form.Get("Action") != "GetFederationToken" || !strings.Contains(form.Get("Policy"), "arn:aws:s3:::release-files/nightly/2026-11-21/*") {
			r.t.Errorf("asked for %v: %v %v", form, err, bad)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w, awstest.Federation)
	}))
	r.t.Cleanup(sts.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		r.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	ofGoogle := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	ofGitHub := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	r.literal["aws:\n  accounts:"] = "aws:\n  sts: " + sts.URL + "\n  accounts:"
	r.literal["accessKeyId: AKIA…"], r.literal["secretAccessKey: …"] = "accessKeyId: "+awstest.KeyID, "secretAccessKey: "+secret
	r.literal[`-----BEGIN PRIVATE KEY-----\n…`] = strings.ReplaceAll(ofGoogle, "\n", `\n`)
	r.literal["-----BEGIN RSA PRIVATE KEY-----\n        …"] = strings.ReplaceAll(strings.TrimSpace(ofGitHub), "\n", "\n        ")
}

// bringEC2 puts a double in EC2's place, which signs identity documents with the certificate that the page leaves out, and its
// metadata service where a worker asks.
func (r *reader) bringEC2() {
	r.t.Helper()
	machines, signer := awstest.NewEC2(r.t), awstest.NewSigner(r.t)
	ec2, metadata := httptest.NewServer(machines), httptest.NewServer(machines.Metadata(signer))
	r.t.Cleanup(ec2.Close)
	r.t.Cleanup(metadata.Close)
	certificate := strings.SplitAfter(strings.TrimSpace(signer.PEM), "\n")
	r.literal["accessKeyId: AKIA…"] = "endpoint: " + ec2.URL + "\n    accessKeyId: " + awstest.KeyID
	r.literal["-----BEGIN CERTIFICATE-----\n        …\n        -----END CERTIFICATE-----"] = strings.Join(certificate, "        ")
	r.literal["--register aws"] = "--register aws --metadata-url " + metadata.URL
	r.names["ami-0abcdef1234567890"] = awstest.Image
	r.export(map[string]string{"CI_AWS_KEY": "the secret of a test"})
}

// lacks says what the machine of the test lacks for a block, "" when nothing.
func lacks(b command.Block) string {
	if !slices.Contains(b.With, "root") {
		return ""
	}
	if os.Geteuid() != 0 {
		return "the test does not run as root"
	}
	if err := groups(); err != nil {
		return "there are no control groups to limit tasks by: " + err.Error()
	}
	return ""
}

// groups tries to make a control group where this process is, in whichever version there is.
func groups() error {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	err = errors.New("there is no controller of memory")
	for line := range strings.Lines(string(own)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, place
		if len(parts) < 3 || parts[1] != "" && parts[1] != "memory" {
			continue
		}
		dir := filepath.Join("/sys/fs/cgroup", parts[1], parts[2], fmt.Sprintf("treeline-docs-%d", os.Getpid()))
		if err = os.Mkdir(dir, 0o755); err == nil {
			return os.Remove(dir)
		}
	}
	return err
}

// bringDatabase has the page's servers use a database.
func (r *reader) bringDatabase(url string) {
	r.t.Helper()
	r.bring("server")
	r.literal["postgres://treeline@localhost/treeline"], r.literal["postgres://treeline@db/treeline"] = url, url
	r.export(map[string]string{"DATABASE_URL": url, "TREELINE_ROOT_URL": r.names["https://ci.example.com"], "TREELINE_DATA": r.literal["/var/lib/treeline"]})
}

// services are the services of a machine with a PostgreSQL of its own, as systemctl starts and stops them.
type services struct {
	*reader
	dir      string // PostgreSQL's: has data
	uid, gid int    // of who owns that
	cluster  *pg.Cluster
}

// bringCluster gives the page a machine with a PostgreSQL and a server. The page is where its data directory is.
func (r *reader) bringCluster() {
	r.t.Helper()
	s := &services{reader: r, dir: filepath.Join(r.dir, "postgresql")}
	if err := s.start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := s.stop("postgresql"); err != nil {
			r.t.Error(err)
		}
	})
	info, err := os.Stat(filepath.Join(s.dir, "data"))
	if err != nil {
		r.t.Fatal(err)
	}
	uid, gid, _ := sys.Owner(info)
	s.uid, s.gid = int(uid), int(gid)
	database, err := url.Parse(s.cluster.URL(pg.DatabaseName))
	if err != nil {
		r.t.Fatal(err)
	}
	r.bringDatabase(database.String())
	r.export(map[string]string{"PGHOST": database.Query().Get("host"), "PGUSER": database.Query().Get("user"), "PGDATABASE": pg.DatabaseName})
	backup := r.literal["/backup"]
	sh(r.t, r.dir, "mkdir -p '"+r.literal["/var/lib/treeline"]+"/objects'; mkdir '"+backup+"/wal'; chmod 777 '"+backup+"/wal'")
	r.keep("place", s.dir)
	systemctl := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if err := s.does(strings.Fields(q.URL.Query().Get("words"))); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	r.t.Cleanup(systemctl.Close)
	r.program("systemctl", `exec curl -s --fail-with-body --get --data-urlencode "words=$*" `+systemctl.URL)
	r.launch(command.Block{Language: "sh", Lines: []string{"treeline serve"}, Stays: `"serving"`})
}

// does what systemctl is told.
func (s *services) does(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("%q is not understood", words)
	}
	for _, unit := range words[1:] {
		if words[0] == "stop" || words[0] == "restart" {
			if err := s.stop(unit); err != nil {
				return err
			}
		}
		if words[0] == "start" || words[0] == "restart" {
			if err := s.start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// start starts PostgreSQL.
func (s *services) start() (err error) {
	if s.uid != 0 && os.Geteuid() == 0 { // what was put back is root's, and is to be of who had the data
		err = filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(path, s.uid, s.gid))
		})
	}
	if err == nil {
		// Nothing here is to outlive the machine: it need not wait for the disk.
		s.cluster, err = pg.StartCluster(s.t.Context(), s.dir, slog.New(slog.DiscardHandler), pg.Setting("fsync", "off"))
	}
	return err
}

// stop stops PostgreSQL or the page's servers. A second time does nothing.
func (s *services) stop(unit string) error {
	if unit == "treeline" {
		for _, other := range s.staying {
			if strings.HasPrefix(other.what, "treeline serve") {
				other.stop(s.t)
			}
		}
		return nil
	}
	if s.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), time.Minute)
	defer cancel()
	err := s.cluster.Stop(ctx)
	s.cluster = nil
	return err
}
