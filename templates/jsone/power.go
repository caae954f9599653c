package jsone

import "math"

// power is JavaScript's base ** exponent as Node 20 and 22 compute it, to the last digit. Their method is the one known
// from the C library fdlibm, which splits the logarithm of the base in two so that little is lost in the product; they
// divide by a little more than fdlibm does at the end, so that 10 ** -5 is 0.000009999999999999999 there and here.
// Exact powers come out exact. (Node 24 asks the machine's C library instead, and so depends on the machine.)
func power(base, exponent float64) float64 {
	size := math.Abs(base)
	switch {
	case exponent == 0:
		return 1
	case math.IsNaN(base) || math.IsNaN(exponent) || (size == 1 && math.IsInf(exponent, 0)):
		return math.NaN()
	case size == 0 || size == 1 || math.IsInf(size, 0) || math.IsInf(exponent, 0):
		return math.Pow(base, exponent)
	case exponent == 1:
		return base
	case exponent == -1:
		return 1 / base
	case exponent == 2:
		return base * base
	case exponent == 0.5 && base >= 0:
		return math.Sqrt(base)
	}
	sign := 1.0
	if base < 0 {
		if exponent != math.Trunc(exponent) {
			return math.NaN()
		}
		if math.Mod(exponent, 2) != 0 {
			sign = -1
		}
	}
	var high, low float64
	if math.Abs(exponent) > 1<<31 {
		if size < nearOneBelow || size > nearOneAbove {
			return sign * math.Pow(size, exponent) // far outside the range of numbers: 0 or infinite
		}
		high, low = logNearOne(size)
	} else {
		high, low = logTwo(size)
	}
	whole := upper(exponent)
	return sign * expTwo((exponent-whole)*high+exponent*low, whole*high)
}

const (
	nearOneBelow = 1 - 1.0/(1<<20)
	nearOneAbove = 1 + 1.0/(1<<20)
)

// upper keeps the upper half of a number's bits, so that products of two of them are exact.
func upper(f float64) float64 {
	return math.Float64frombits(math.Float64bits(f) &^ 0xffffffff)
}

// polynomial evaluates coefficients from the constant one up.
func polynomial(x float64, coefficients ...float64) float64 {
	sum := 0.0
	for i := len(coefficients) - 1; i >= 0; i-- {
		sum = sum*x + coefficients[i]
	}
	return sum
}

// logNearOne is log2(x) as a sum of two numbers, for x so near to one that a few terms of the series do.
func logNearOne(x float64) (high, low float64) {
	const inverse, inverseHigh, inverseLow = 1.44269504088896338700, 1.44269502162933349609, 1.92596299112661746887e-08
	t := x - 1
	rest := (t * t) * (0.5 - t*(0.3333333333333333333333-t*0.25))
	u, v := inverseHigh*t, t*inverseLow-rest*inverse
	high = upper(u + v)
	return high, v - (high - u)
}

// logTwo is log2(x) as a sum of two numbers, the first with its lower half empty. x is positive and finite.
func logTwo(x float64) (high, low float64) {
	const (
		scale, scaleHigh, scaleLow = 9.61796693925975554329e-01, 9.61796700954437255859e-01, -7.02846165095275826516e-09
		halfHigh, halfLow          = 5.84962487220764160156e-01, 1.35003920212974897128e-08 // log2(1.5)
	)
	n := 0
	if x < 0x1p-1022 {
		x *= 1 << 53
		n = -53
	}
	// x = 2^n * m, with m brought near 1 or 1.5.
	bits := math.Float64bits(x)
	n += int(bits>>52) - 1023
	fraction := uint32(bits>>32) & 0x000fffff
	upperWord := fraction | 0x3ff00000
	near, addHigh, addLow := 1.0, 0.0, 0.0
	switch {
	case fraction <= 0x3988e: // m < sqrt(3/2)
	case fraction < 0xbb67a: // m < sqrt(3)
		near, addHigh, addLow = 1.5, halfHigh, halfLow
	default:
		n++
		upperWord -= 0x00100000
	}
	m := math.Float64frombits(uint64(upperWord)<<32 | bits&0xffffffff)

	// s = (m-near)/(m+near) in two parts.
	u, v := m-near, 1/(m+near)
	s := u * v
	sHigh := upper(s)
	middle := uint64((upperWord>>1)|0x20000000) + 0x00080000
	if near != 1 {
		middle += 0x00040000
	}
	tHigh := math.Float64frombits(middle << 32)
	tLow := m - (tHigh - near)
	sLow := v * ((u - sHigh*tHigh) - sHigh*tLow)

	// The logarithm's series in s.
	s2 := s * s
	r := s2 * s2 * polynomial(s2, 5.99999999999994648725e-01, 4.28571428578550184252e-01, 3.33333329818377432918e-01,
		2.72728123808534006489e-01, 2.30660745775561754067e-01, 2.06975017800338417784e-01)
	r += sLow * (sHigh + s)
	s2 = sHigh * sHigh
	tHigh = upper(3.0 + s2 + r)
	tLow = r - ((tHigh - 3.0) - s2)
	u, v = sHigh*tHigh, sLow*tHigh+tLow*s
	pHigh := upper(u + v)
	pLow := v - (pHigh - u)
	zHigh, zLow := scaleHigh*pHigh, scaleLow*pHigh+pLow*scale+addLow
	t := float64(n)
	high = upper(((zHigh + zLow) + addHigh) + t)
	return high, zLow - (((high - t) - addHigh) - zHigh)
}

// expTwo is 2^(small+large).
func expTwo(small, large float64) float64 {
	const (
		ln2, ln2High, ln2Low = 6.93147180559945286227e-01, 6.93147182464599609375e-01, -1.90465429995776804525e-09
		overflowRest         = 8.0085662595372944372e-17
	)
	z := small + large
	switch {
	case z > 1024 || (z == 1024 && small+overflowRest > z-large):
		return math.Inf(1)
	case z < -1075 || (z == -1075 && small <= z-large):
		return 0
	}
	n := 0.0
	if math.Abs(z) > 0.5 {
		n = math.Floor(z + 0.5)
		if z < 0 {
			n = -math.Floor(0.5 - z)
		}
		large -= n
	}
	t := upper(small + large)
	u := t * ln2High
	v := (small-(t-large))*ln2 + t*ln2Low
	z = u + v
	w := v - (z - u)
	t = z * z
	t1 := z - t*polynomial(t, 1.66666666666666019037e-01, -2.77777777770155933842e-03, 6.61375632143793436117e-05,
		-1.65339022054652515390e-06, 4.13813679705723846039e-08)
	r := (z * t1) / ((t1 - 2) - (w + z*w))
	return math.Ldexp(1-(r-z), int(n))
}
