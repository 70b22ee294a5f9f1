package config

import (
	"net/url"
	"strconv"
)

func (l *loader) checkTraces() {
	if r, err := strconv.ParseFloat(l.Traces.Ratio, 64); err != nil || r < 0 || r > 1 {
		l.not("traces.ratio", "is %q: want a number from 0 to 1", l.Traces.Ratio)
	}
	if l.Traces.Rate == 0 {
		l.not("traces.rate", "is 0: want 1 or more, or none")
	}
	if e := l.Traces.Endpoint; e != "" {
		if u, err := url.Parse(e); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			l.not("traces.endpoint", "is %q: want a URL such as http://127.0.0.1:4318", e)
		}
	}
}
