// Package rabbittest runs a private RabbitMQ for the tests of a package: on free loopback ports, with
// its own data, Erlang cookie and port mapper, without plugins. Nothing of it is left when the test
// process ends, however it ends.
package rabbittest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/treeline-ci/treeline/internal/certtest"
)

// The node's user, its administrator.
const (
	User     = "keeper"
	Password = "a+b/c d-9fKzQ" // one that needs escapes in a URL
)

// startLimit is how long the node may take to answer.
const startLimit = 90 * time.Second

// keeper starts the port mapper and the node and ends both when its input does, as it does when the
// test process is gone.
const keeper = `
"$1" -port "$ERL_EPMD_PORT" -address 127.0.0.1 & mapper=$!
RABBITMQ_START_RABBIT= "$2" <"/dev/null" & node=$!
cat >/dev/null
kill -TERM $node; wait $node
kill -TERM $mapper; wait $mapper
exit 0
`

// Node is a RabbitMQ.
type Node struct {
	dir  string
	port int
	tls  int // its port with TLS
	env  []string
	cred *syscall.Credential

	cmd   *exec.Cmd
	life  io.WriteCloser // closing it ends the node
	ended chan struct{}
}

// Start runs a node until the test ends; lines are added to its rabbitmq.conf. It fails the test when RabbitMQ is not
// installed.
func Start(t testing.TB, lines ...string) *Node {
	t.Helper()
	dir, err := os.MkdirTemp("", "rabbit-") //nolint:usetesting // the node runs as another user, who must reach it
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{dir: dir}
	t.Cleanup(func() {
		n.Stop(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("rabbittest: %v", err)
		}
	})
	if err := n.prepare(certtest.New(t), lines); err != nil {
		t.Fatalf("rabbittest: %v", err)
	}
	n.Run(t)
	return n
}

// URL is how to connect, with a password that needs escapes.
func (n *Node) URL() string { return n.URLAt(n.port) }

// URLAt is URL with another port, such as a proxy's.
func (n *Node) URLAt(port int) string {
	return fmt.Sprintf("amqp://%s:a%%2Bb%%2Fc%%20d-9fKzQ@127.0.0.1:%d/", User, port)
}

// Secure is URL with TLS. The node trusts who shows a certificate of the authority in Files alone.
func (n *Node) Secure() string {
	return strings.Replace(n.URLAt(n.tls), "amqp:", "amqps:", 1)
}

// Files are the authority, the certificate and the key of the node, which serve a client too.
func (n *Node) Files() (authority, certificate, key string) {
	return filepath.Join(n.dir, "ca.pem"), filepath.Join(n.dir, "cert.pem"), filepath.Join(n.dir, "key.pem")
}

// Address is host and port.
func (n *Node) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)) }

// prepare writes the configuration and makes the environment.
func (n *Node) prepare(certificates certtest.Set, lines []string) error {
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	n.port, n.tls = ports[0], ports[3]
	authority, certificate, key := n.Files()
	config := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nloopback_users = none\ndefault_user = %s\ndefault_pass = %s\n"+
		"log.console = false\ndisk_free_limit.absolute = 1MB\n"+
		"listeners.ssl.1 = 127.0.0.1:%d\nssl_options.cacertfile = %s\nssl_options.certfile = %s\nssl_options.keyfile = %s\n"+
		"ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n%s\n",
		n.port, User, Password, n.tls, authority, certificate, key, strings.Join(lines, "\n"))
	for name, text := range map[string]string{
		filepath.Join(n.dir, "rabbitmq.conf"): config, filepath.Join(n.dir, "plugins"): "[].\n",
		authority: string(certificates.Authority), certificate: string(certificates.Certificate), key: string(certificates.Key),
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	n.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + n.dir, "LC_ALL=C.UTF-8", "LANG=C.UTF-8",
		"RABBITMQ_NODENAME=" + fmt.Sprintf("t%d@localhost", ports[0]), "RABBITMQ_MNESIA_BASE=" + filepath.Join(n.dir, "data"),
		"RABBITMQ_LOG_BASE=" + filepath.Join(n.dir, "log"), "RABBITMQ_CONFIG_FILE=" + filepath.Join(n.dir, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(n.dir, "plugins"), "RABBITMQ_PID_FILE=" + n.pidFile(),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(ports[1]), "ERL_EPMD_PORT=" + strconv.Itoa(ports[2]), "ERL_EPMD_ADDRESS=127.0.0.1",
		// Tests share the machine: Erlang's schedulers must not spin while they wait.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return n.dropPrivileges()
}

// dropPrivileges picks who runs the node when the tests are run by root.
func (n *Node) dropPrivileges() error {
	for _, name := range []string{"rabbitmq", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2, os.Chown(n.dir, uid, gid)); err != nil {
			return err
		}
		n.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return nil
	}
	return errors.New("there is neither a user rabbitmq nor nobody to run it as")
}

func (n *Node) pidFile() string { return filepath.Join(n.dir, "pid") }

// Run starts a node that was stopped or killed, with the data it had.
func (n *Node) Run(t testing.TB) {
	t.Helper()
	server, err := program()
	if err != nil {
		t.Fatalf("rabbittest: %v", err)
	}
	mapper, err := exec.LookPath("epmd")
	if err != nil {
		t.Fatalf("rabbittest: %v (it comes with erlang-base)", err)
	}
	out, err := os.Create(filepath.Join(n.dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }() // the node has its own copy
	n.cmd = exec.Command("sh", "-c", keeper, "sh", mapper, server)
	n.cmd.Env, n.cmd.Dir, n.cmd.Stdout, n.cmd.Stderr = n.env, n.dir, out, out
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: n.cred}
	if n.life, err = n.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatalf("rabbittest: %v", err)
	}
	n.ended = make(chan struct{})
	go func() {
		_ = n.cmd.Wait() // what it wrote says more
		close(n.ended)
	}()
	n.answers(t)
}

// answers waits until clients can connect.
func (n *Node) answers(t testing.TB) {
	t.Helper()
	deadline := time.After(startLimit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := amqp.Dial(n.URL())
		if err == nil {
			_ = conn.Close() // it has answered
			return
		}
		select {
		case <-deadline:
			text, _ := os.ReadFile(filepath.Join(n.dir, "output")) // nothing to say if it is not there
			n.Stop(t)
			t.Fatalf("rabbittest: RabbitMQ does not answer: %v\n%s", err, text)
		case <-tick.C:
		}
	}
}

// Stop stops the node in order; messages on disk stay there.
func (n *Node) Stop(t testing.TB) {
	t.Helper()
	if n.cmd == nil {
		return
	}
	_ = n.life.Close() // closed already when it is done twice
	select {
	case <-n.ended:
	case <-time.After(40 * time.Second):
		t.Errorf("rabbittest: RabbitMQ does not stop; it is killed")
		_ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL) // gone if not there
		<-n.ended
	}
	n.cmd = nil
}

// Kill ends the node as a crash does.
func (n *Node) Kill(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(n.pidFile())
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("rabbittest: kill %d: %v", pid, err)
	}
	n.Stop(t) // what is left of it
}

// Script is a line of sh that is rabbitmqctl on the node, with the arguments of the script that the line is in.
func (n *Node) Script() (string, error) {
	server, err := program()
	if err != nil {
		return "", err
	}
	line := []string{"env", "-i"}
	for _, setting := range n.env {
		line = append(line, "'"+strings.ReplaceAll(setting, "'", `'\''`)+"'")
	}
	return strings.Join(append(line, controller(server), `"$@"`), " "), nil
}

func controller(server string) string { return filepath.Join(filepath.Dir(server), "rabbitmqctl") }

// Control runs rabbitmqctl on the node.
func (n *Node) Control(t testing.TB, args ...string) {
	t.Helper()
	server, err := program()
	if err != nil {
		t.Fatalf("rabbittest: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, controller(server), args...)
	cmd.Env, cmd.Dir, cmd.SysProcAttr = n.env, n.dir, &syscall.SysProcAttr{Credential: n.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("rabbittest: rabbitmqctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// program finds the script that starts a node without asking who runs it.
func program() (string, error) {
	for _, name := range []string{"/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server", "/usr/local/opt/rabbitmq/sbin/rabbitmq-server"} {
		if _, err := os.Stat(name); err == nil {
			return name, nil
		}
	}
	return "", errors.New("RabbitMQ is not installed: run tools/need rabbitmq")
}

// freePorts finds ports on loopback that nobody listens on.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		var c net.ListenConfig
		l, err := c.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // all at the end, so that they differ
		_, port, ok := strings.Cut(l.Addr().String(), ":")
		number, err := strconv.Atoi(port)
		if !ok || err != nil {
			return nil, fmt.Errorf("address %s: %w", l.Addr(), err)
		}
		ports = append(ports, number)
	}
	return ports, nil
}
