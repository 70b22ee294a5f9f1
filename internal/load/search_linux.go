package load

import "math"

const (
	fineness = 1.12 // how close the best rate and the first bad one must be
	maxSteps = 60
)

// A hunt finds the highest good rate: it goes up until one is bad, fourfold where
// it was easy and twofold where not, and then halves what is between them. A rate must be bad twice, and eight times while
// other programs take the cores: that says little about the server.
type hunt struct {
	rate, good, bad float64
	tried           int
	highest         float64
}

// next takes what became of the current rate, and whether the machine was
// shared, and reports whether there is another to try.
func (h *hunt) next(ok, easy, shared bool) bool {
	h.tried++
	switch {
	case ok:
		h.good, h.tried = h.rate, 0
	case h.tried < 2 || shared && h.tried < 8:
		return true
	default:
		h.bad, h.tried = h.rate, 0
	}
	switch {
	case h.bad == 0 && h.good >= h.highest:
		return false
	case h.bad == 0:
		stride := 2.0
		if easy {
			stride = 4
		}
		h.rate = min(stride*h.good, h.highest)
	case h.good == 0:
		h.rate = h.bad / 4
		return h.rate >= 0.5
	case h.bad/h.good < fineness:
		return false
	default:
		h.rate = math.Sqrt(h.good * h.bad)
	}
	return true
}

// search looks for the highest rate whose latency is within the limit.
func (r *run) search(w *crowd, emit func(now, due int64)) error {
	h := hunt{rate: min(r.opts.Rate, r.opts.MaxRate), highest: r.opts.MaxRate}
	end := r.loop.clock() + int64(r.opts.SearchTime)
	var best Result
	var steps []Step
	for range maxSteps {
		step, err := r.step(w, emit, h.rate)
		if err != nil {
			return err
		}
		own := r.result.Bottleneck
		if !step.OK && own != "" {
			step.Why += "; " + own
		}
		steps = append(steps, step)
		if step.OK && step.Rate > best.Rate || best.Rate == 0 {
			best = r.result
			best.Best = 0
			if step.OK {
				best.Best = step.PerSecond
			}
		}
		if !step.OK && own != "" && step.Rate > best.Rate {
			best.Bottleneck = own // at higher rates: the server might have done more
		}
		easy := step.OK && step.P99 < milliseconds(r.opts.P99)/4
		if !h.next(step.OK, easy, r.shared()) {
			break
		}
		if r.loop.clock() > end {
			best.Hurried = true
			break
		}
		if err := w.gather(); err != nil { // who was cut off comes back
			return err
		}
	}
	if best.Best == 0 {
		best.Rate = 0
	}
	r.result = best
	r.result.Steps, r.result.Limit = steps, milliseconds(r.opts.P99)
	return nil
}

// shared says whether other programs had the cores for much of the last step.
func (r *run) shared() bool {
	const much = 0.2
	return r.result.Own.Waited > much || r.result.Server != nil && r.result.Server.Waited > much
}
