package jsone

import "math"

// power is JavaScript's base ** exponent.
func power(base, exponent float64) float64 {
	if math.IsNaN(exponent) || (math.Abs(base) == 1 && math.IsInf(exponent, 0)) {
		return math.NaN()
	}
	return math.Pow(base, exponent)
}
