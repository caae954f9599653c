package gauge

import "math"

// Add counts another's runs too.
func (o Outcomes) Add(b Outcomes) Outcomes { return Outcomes{o.Runs + b.Runs, o.Failed + b.Failed} }

// Rate is the part that failed, 0 to 1.
func (o Outcomes) Rate() float64 {
	if o.Runs == 0 {
		return 0
	}
	return float64(o.Failed) / float64(o.Runs)
}

const (
	// fewest is how many of its runs a worker must have failed to be suspected at all.
	fewest = 3
	// falseAlarms is how many good workers may be suspected in a look at all workers of a task queue, on average.
	falseAlarms = 0.01
)

// Suspect reports whether a worker fails so often that chance does not explain it: as if each of its runs had failed with
// the probability that runs of all the others have, in a task queue of so many workers.
func Suspect(worker, all Outcomes, workers int) bool {
	if worker.Failed < fewest || 2*worker.Failed < worker.Runs {
		return false
	}
	others := Outcomes{all.Runs - worker.Runs, all.Failed - worker.Failed}
	if others.Runs < worker.Runs {
		return false // there is nothing to compare it with
	}
	p := (float64(others.Failed) + 1) / (float64(others.Runs) + 2) // no pool never fails
	return tail(worker.Runs, worker.Failed, p) < falseAlarms/float64(max(1, workers))
}

// tail is the probability of k or more hits in n tries of probability p.
func tail(n, k int, p float64) float64 {
	sum := 0.0
	for i := k; i <= n; i++ {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(i + 1))
		c, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(a - b - c + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return sum
}
