package mail_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/smtptest"
	"github.com/treeline-ci/treeline/notify/mail"
	"github.com/treeline-ci/treeline/notify/message"
)

const password = "very-secret-word"

func config(s *smtptest.Server, mode string) mail.Config {
	return mail.Config{Host: s.Host, Port: s.Port, TLS: mode, CA: s.CA, From: "Treeline <ci@ci.example.com>", Timeout: 5 * time.Second}
}

func sender(t *testing.T, c mail.Config) *mail.Sender {
	t.Helper()
	s, err := mail.New(c, "https://ci.example.com")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func letter() message.Email {
	return message.Email{
		Address: "you@example.com", Subject: "Grüße: build failed", ReplyTo: "me@example.com", Why: "You asked for it.", State: "failed",
		Content: "# Title\n\nIt *failed* with `error: x < y`.\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n- [x] done\n\n<script>alert(1)</script>\n\n<b onclick=\"x()\">bold</b> [bad](javascript:alert(1)) ![p](http://tracker.example/p.png)",
		Link:    &message.Link{Text: "Look", Href: "https://ci.example.com/tasks/x?a=1&b=\"2"},
	}
}

func TestAMailArrivesAsTextAndAsHTML(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{User: "ci", Password: password})
	c := config(server, mail.STARTTLS)
	c.User, c.Password = "ci", password
	if err := sender(t, c).Send(t.Context(), letter(), "abc123"); err != nil {
		t.Fatal(err)
	}
	m := server.Wait(t, 1)[0]
	if !m.TLS || m.User != "ci" || m.From != "ci@ci.example.com" || m.To != "you@example.com" {
		t.Errorf("the envelope is %+v", m)
	}
	if m.Subject() != "Grüße: build failed" {
		t.Errorf("the subject is %q", m.Subject())
	}
	for name, want := range map[string]string{
		"From": `"Treeline" <ci@ci.example.com>`, "To": "<you@example.com>", "Reply-To": "<me@example.com>", "Message-Id": "<abc123@ci.example.com>",
		"Auto-Submitted": "auto-generated", "Mime-Version": "1.0",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	wantText := strings.TrimSpace(letter().Content) + "\n\nLook: https://ci.example.com/tasks/x?a=1&b=\"2\n\n-- \nYou asked for it.\nSent by Treeline at https://ci.example.com\n"
	if diff := cmp.Diff(wantText, m.Text); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{
		"<h1>Title</h1>", "<em>failed</em>", "<code>error: x &lt; y</code>", "<td>1</td>", `<td align="right">2</td>`, "<li>☑ done</li>", "<b>bold</b>", "#c9302c", "You asked for it.",
		`<a href="https://ci.example.com/tasks/x?a=1&amp;b=%222"`, ">Look</a>", "prefers-color-scheme: dark",
	} {
		if !strings.Contains(m.HTML, want) {
			t.Errorf("the HTML lacks %s", want)
		}
	}
	for _, bad := range []string{"<script", "alert(1)", "onclick", "javascript:"} {
		if strings.Contains(m.HTML, bad) {
			t.Errorf("the HTML has %s", bad)
		}
	}
}

func TestTheWaysToEncrypt(t *testing.T) {
	for mode, options := range map[string]smtptest.Options{
		mail.STARTTLS: {}, mail.TLS: {TLS: true, User: "ci", Password: password}, mail.Plain: {NoSTARTTLS: true, User: "ci", Password: password},
	} {
		t.Run(mode, func(t *testing.T) {
			server := smtptest.Start(t, options)
			c := config(server, mode)
			c.User, c.Password = options.User, options.Password
			if err := sender(t, c).Send(t.Context(), letter(), "id"); err != nil {
				t.Fatal(err)
			}
			if m := server.Wait(t, 1)[0]; m.TLS != (mode == mail.STARTTLS) && mode != mail.TLS || m.User != options.User {
				t.Errorf("encrypted %v, user %q", m.TLS, m.User)
			}
		})
	}
}

func TestWhatGoesWrongIsToldPrecisely(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	open := smtptest.Start(t, smtptest.Options{})
	locked := smtptest.Start(t, smtptest.Options{User: "ci", Password: password})
	deaf := smtptest.Start(t, smtptest.Options{NoSTARTTLS: true})
	busy := smtptest.Start(t, smtptest.Options{})
	busy.OnRecipient(func(string) error { return smtptest.Answer(451, "greylisted, come back") })
	strict := smtptest.Start(t, smtptest.Options{})
	strict.OnRecipient(func(string) error { return smtptest.Answer(550, "no such mailbox") })
	full := smtptest.Start(t, smtptest.Options{})
	full.OnMail(func(smtptest.Mail) error { return smtptest.Answer(552, "mailbox full") })
	stalled := smtptest.Start(t, smtptest.Options{})
	released := make(chan struct{})
	stalled.OnMail(func(smtptest.Mail) error { <-released; return nil })
	defer close(released)

	for name, c := range map[string]struct {
		change    func(*mail.Config)
		server    *smtptest.Server
		says      []string
		temporary bool
	}{
		"wrong password":        {func(c *mail.Config) { c.User, c.Password = "ci", "wrong-"+password }, locked, []string{`does not let user "ci" in`, "535", "user or password is wrong"}, true},
		"no password":           {nil, locked, []string{"did not take the mail"}, true},
		"nobody listens":        {func(c *mail.Config) { c.Port = 1 }, open, []string{"cannot be used", "connection refused"}, true},
		"unknown name":          {func(c *mail.Config) { c.Host = "mail.invalid" }, open, []string{"name of the mail server", "is not known"}, true},
		"no encryption":         {nil, deaf, []string{"cannot encrypt", "tls: none"}, true},
		"certificate":           {func(c *mail.Config) { c.CA = "" }, open, []string{"is not trusted", "ca names a file"}, true},
		"later":                 {nil, busy, []string{"451", "greylisted, come back"}, true},
		"no such mailbox":       {nil, strict, []string{"550", "no such mailbox"}, false},
		"mailbox full":          {nil, full, []string{"552", "mailbox full"}, false},
		"stalls":                {func(c *mail.Config) { c.Timeout = time.Second }, stalled, []string{"did not answer in time"}, true},
		"never says anything":   {func(c *mail.Config) { c.Timeout, c.Port = time.Second, silent.Addr().(*net.TCPAddr).Port }, open, []string{"did not answer in time"}, true},
		"TLS where none spoken": {func(c *mail.Config) { c.TLS = mail.TLS }, open, []string{"cannot be used", "tls"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(c.server, mail.STARTTLS)
			if c.change != nil {
				c.change(&cfg)
			}
			began := time.Now()
			err := sender(t, cfg).Send(t.Context(), letter(), "id")
			var f *message.Failure
			if !errors.As(err, &f) || f.Temporary != c.temporary {
				t.Fatalf("%#v", err)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(fmt.Sprintf("%+v", err), password) {
				t.Errorf("%+v holds the password", err)
			}
			if d := time.Since(began); d > 8*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestHeadersCannotBeInjected(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{})
	s := sender(t, config(server, mail.STARTTLS))
	for name, change := range map[string]func(*message.Email){
		"subject":  func(m *message.Email) { m.Subject = "x\r\nBcc: all@example.com" },
		"newline":  func(m *message.Email) { m.Subject = "x\ny" },
		"address":  func(m *message.Email) { m.Address = "a@example.com\r\nBcc: b@example.com" },
		"two":      func(m *message.Email) { m.Address = "a@example.com, b@example.com" },
		"name":     func(m *message.Email) { m.Address = "A <a@example.com>" },
		"reply-to": func(m *message.Email) { m.ReplyTo = "a@example.com\nX: y" },
		"nul":      func(m *message.Email) { m.Subject = "x\x00" },
		"link":     func(m *message.Email) { m.Link = &message.Link{Text: "x", Href: "javascript:alert(1)"} },
	} {
		t.Run(name, func(t *testing.T) {
			m := letter()
			change(&m)
			var f *message.Failure
			if err := s.Send(t.Context(), m, "id"); !errors.As(err, &f) || f.Temporary || !errors.Is(err, fault.Invalid) {
				t.Errorf("%v", err)
			}
		})
	}
	if n := len(server.Mails()); n != 0 {
		t.Errorf("%d mails went out", n)
	}
}

func TestMarkdownThatMeansHarmTakesNoTime(t *testing.T) {
	s := sender(t, mail.Config{Host: "localhost", From: "ci@example.com"})
	for name, text := range map[string]string{
		"quotes": strings.Repeat(">", message.MaxContent), "brackets": strings.Repeat("[", message.MaxContent), "lists": strings.Repeat("- ", message.MaxContent/2),
		"emphasis": strings.Repeat("*a_", message.MaxContent/3), "links": strings.Repeat("[a](", message.MaxContent/4), "html": strings.Repeat("<div>", message.MaxContent/5),
		"code": strings.Repeat("`a", message.MaxContent/2), "tables": "|" + strings.Repeat("a|", 1000) + "\n|" + strings.Repeat("-|", 1000) + "\n" + strings.Repeat("|\n", 40000),
		"images": strings.Repeat("![", message.MaxContent/2), "entities": strings.Repeat("&#", message.MaxContent/2), "autolinks": strings.Repeat("http://", message.MaxContent/7),
		"paragraphs": strings.Repeat(strings.Repeat("[a](", 1200)+"\n\n", 21), "nested": strings.Repeat("> - 1. ", 3000) + "x", "deep": strings.Repeat(strings.Repeat(">", 99)+"x\n\n", 1000),
		"footnotes": strings.Repeat("[^a]: x\n", message.MaxContent/8), "strikes": strings.Repeat("~~a", message.MaxContent/3), "comments": strings.Repeat("<!--", message.MaxContent/4),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			m := letter()
			m.Content = text
			html, err := s.HTML(m)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes of HTML in %v", len(html), time.Since(began))
			if d := time.Since(began); d > 20*time.Second { // unchecked it is minutes
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	got, err := mail.ParseURL("smtps://me%40x:" + password + "@mail.example.com")
	want := mail.Config{Host: "mail.example.com", User: "me@x", Password: password, TLS: mail.TLS}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, bad := range []string{"mail.example.com", "http://x", "smtp://ci:" + password + "@x:port", "smtp://u:" + password + "@", "smtp://x/path"} {
		_, err := mail.ParseURL(bad)
		var u *url.Error
		if err == nil || strings.Contains(err.Error(), password) || errors.As(err, &u) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for name, c := range map[string]mail.Config{
		"no from": {Host: "x"}, "bad tls": {Host: "x", From: "a@b", TLS: "ssl"}, "password in the open": {Host: "x.example", From: "a@b", TLS: mail.Plain, User: "u", Password: password},
		"no such file": {Host: "x", From: "a@b", CA: "/nonexistent"}, "port": {Host: "x", From: "a@b", Port: 70000},
	} {
		if err := c.Check(); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	none, err := mail.New(mail.Config{}, "https://x")
	if none != nil || err != nil {
		t.Error(none, err)
	}
}
