// Package awstest stands in for what Treeline asks of Amazon: it makes and shows instances as EC2 does, tells them what
// their metadata service would, signs their identity documents, and checks signatures of requests by Amazon's rules. There
// is no server of Amazon's own to be had for tests.
package awstest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// KeyID is the only key that EC2 knows, Image the only image, and Type what all instances are.
const (
	KeyID = "AKIATEST"
	Image = "ami-1"
	Type  = "m5.large"
)

// EC2 answers as Amazon's does: one instance a client token, tags, filters, and its errors. It is safe for concurrent use.
type EC2 struct {
	t  testing.TB
	mu sync.Mutex
	by map[string]*Instance // by client token
	n  int
}

// Instance is a machine that was made.
type Instance struct {
	ID, Region, State string
	UserData          string // in base64, as it came
	Tags              map[string]string
	made              time.Time
}

// NewEC2 returns one without instances, which fails the test for calls that it does not know.
func NewEC2(t testing.TB) *EC2 { return &EC2{t: t, by: map[string]*Instance{}} }

// Instances are those that were made, ended ones too, in the order of their making.
func (e *EC2) Instances() []Instance {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Instance
	for _, i := range e.by {
		out = append(out, *i)
	}
	slices.SortFunc(out, func(a, b Instance) int { return a.made.Compare(b.made) })
	return out
}

func (i *Instance) xml() string {
	var tags strings.Builder
	for k, v := range i.Tags {
		fmt.Fprintf(&tags, "<item><key>%s</key><value>%s</value></item>", k, v)
	}
	return fmt.Sprintf(`<item><instanceId>%s</instanceId><imageId>%s</imageId><instanceState><code>0</code><name>%s</name></instanceState>`+
		`<instanceType>%s</instanceType><launchTime>%s</launchTime><privateIpAddress>%s</privateIpAddress><architecture>x86_64</architecture><tagSet>%s</tagSet></item>`,
		i.ID, Image, i.State, Type, i.made.UTC().Format(time.RFC3339), address(i.ID), &tags)
}

// ServeHTTP implements http.Handler.
func (e *EC2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope := strings.Split(credential, "/") // key, date, region, …
	if scope[0] != KeyID || len(scope) < 3 {
		fail(w, http.StatusUnauthorized, "AuthFailure")
		return
	}
	if err := r.ParseForm(); err != nil {
		e.t.Error(err)
	}
	switch f := r.Form; f.Get("Action") {
	case "RunInstances":
		e.run(w, f, scope[2])
	case "DescribeInstances":
		var items strings.Builder
		for _, i := range e.by {
			if matches(i, f) {
				items.WriteString(i.xml())
			}
		}
		fmt.Fprintf(w, `<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item><ownerId>123</ownerId><instancesSet>%s</instancesSet></item></reservationSet></DescribeInstancesResponse>`, &items)
	case "TerminateInstances":
		for _, i := range e.by {
			if i.ID == f.Get("InstanceId.1") {
				i.State = "terminated"
				fmt.Fprint(w, `<TerminateInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><instancesSet/></TerminateInstancesResponse>`)
				return
			}
		}
		fail(w, http.StatusBadRequest, "InvalidInstanceID.NotFound")
	default:
		e.t.Errorf("%v is not expected", f)
	}
}

func (e *EC2) run(w http.ResponseWriter, f url.Values, region string) {
	if f.Get("ImageId") != Image {
		fail(w, http.StatusBadRequest, "InvalidAMIID.NotFound")
		return
	}
	i := e.by[f.Get("ClientToken")]
	if i == nil {
		e.n++
		i = &Instance{ID: fmt.Sprintf("i-%d", e.n), Region: region, State: "pending", Tags: map[string]string{}, made: time.Now(), UserData: f.Get("UserData")}
		for n := 1; f.Get(fmt.Sprintf("TagSpecification.1.Tag.%d.Key", n)) != ""; n++ {
			i.Tags[f.Get(fmt.Sprintf("TagSpecification.1.Tag.%d.Key", n))] = f.Get(fmt.Sprintf("TagSpecification.1.Tag.%d.Value", n))
		}
		e.by[f.Get("ClientToken")] = i
	}
	fmt.Fprintf(w, `<RunInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><ownerId>123</ownerId><instancesSet>%s</instancesSet></RunInstancesResponse>`, i.xml())
}

func matches(i *Instance, f url.Values) bool {
	for n := 1; f.Get(fmt.Sprintf("Filter.%d.Name", n)) != ""; n++ {
		var values []string
		for m := 1; f.Get(fmt.Sprintf("Filter.%d.Value.%d", n, m)) != ""; m++ {
			values = append(values, f.Get(fmt.Sprintf("Filter.%d.Value.%d", n, m)))
		}
		name := f.Get(fmt.Sprintf("Filter.%d.Name", n))
		is := map[string]string{"instance-id": i.ID, "instance-state-name": i.State}[name]
		if key, ok := strings.CutPrefix(name, "tag:"); ok {
			is = i.Tags[key]
		}
		if !slices.Contains(values, is) {
			return false
		}
	}
	return true
}

func fail(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<Response><Errors><Error><Code>%s</Code><Message>no</Message></Error></Errors><RequestID>1</RequestID></Response>`, code)
}
