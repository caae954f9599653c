package login

import (
	"fmt"
	"slices"
	"time"
)

// freshSignIn is how long ago who changes the deployment may have signed in, where nobody says otherwise: a change asks
// at most once an hour, and a session that is stolen tomorrow changes nothing.
const freshSignIn = time.Hour

// Fresh reads how long ago who changes the deployment from a page may have signed in: a duration such as 15m, "off" for
// any time (0), and "" for an hour where a provider asks people who they are, otherwise for any time. The fixed provider
// asks nobody, and credentials of a client are no more than what stole a session may have found beside it.
func (c Config) Fresh(text string) (time.Duration, error) {
	switch text {
	case "off":
		return 0, nil
	case "":
		if slices.ContainsFunc(c.Providers, func(p Provider) bool { return p.Type != "fixed" }) {
			return freshSignIn, nil
		}
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Minute {
		return 0, fmt.Errorf("%.40q: give a duration of at least 1m, such as 15m or 12h, or off", text)
	}
	return d, nil
}
