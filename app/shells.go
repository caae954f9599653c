package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/ui/shell"
)

// shells joins people's terminals with those of tasks.
func (a *App) shells() (*shell.Hub, error) {
	hub := shell.New(a.shellWorker, a.config.Log)
	if a.config.InternalURL == "" {
		return hub, nil
	}
	mac := hmac.New(sha256.New, a.config.Secrets.URLKey) // a key of its own, which all servers can make
	mac.Write([]byte("shells between servers"))
	return hub, hub.Among(shell.Peers{Pool: a.pool, Address: a.config.InternalURL, Key: mac.Sum(nil)})
}

// shellWorker says who signed the request of a worker.
func (a *App) shellWorker(r *http.Request) (shell.Who, error) {
	host, port := r.Host, 80
	if u, err := url.Parse(a.config.RootURL); err == nil && u.Scheme == "https" {
		port = 443
	}
	if name, text, err := net.SplitHostPort(r.Host); err == nil {
		host = name
		if n, err := strconv.Atoi(text); err == nil {
			port = n
		}
	}
	who, err := a.auth.Authenticate(r.Context(), web.AuthRequest{
		Method: r.Method, Resource: r.URL.RequestURI(), Host: host, Port: port, Authorization: r.Header.Get("Authorization"),
	})
	return shell.Who{ClientID: who.ClientID, Scopes: who.Scopes}, err
}
