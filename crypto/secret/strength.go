package secret

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"cipherdeck/crypto/words"
)

// MinBits is the least estimate that Derive takes.
const MinBits = 65

// Estimate is how hard a secret is to guess for somebody who knows how people
// choose them: the base-2 logarithm of the guesses.
type Estimate struct {
	Bits float64
	Why  string // what it is made of, without repeating any of it
}

// What a piece of a secret may be, and what it costs to guess.
const (
	dictBits  = 12.92 // a word of the EFF list
	caseBits  = 1.0   // one with a capital or with 3 for e
	topBits   = 6.0   // a password everybody knows
	runBits   = 3.0   // one more character of a run like abcd or 9876, per run
	dateBits  = 7.0   // a year
	glueBits  = 0.3   // a separator between words that is not a space
	nameBits  = 1.0   // the account's own name
	againBits = 1.5   // something that was there before
)

// Measure estimates secret for the account: the cheapest way to cut it into
// known words, repetitions, runs, years and single characters. It is an
// estimate, and for what people make up rather too high than too low: only a
// secret drawn at random has the strength it says.
func Measure(secret []byte, account string) Estimate {
	s := []rune(norm.NFC.String(string(secret)))
	if len(s) > 256 {
		s = s[:256] // enough for any answer
	}
	m := measurer{text: s, lower: []rune(plainLetters(string(s))), dict: dictionary(account), char: charBits(s)}
	return m.cheapest()
}

type measurer struct {
	text, lower []rune
	dict        map[string]float64
	char        float64
}

// step is the cheapest way to guess the text up to here.
type step struct {
	bits float64
	from int
	kind string
}

func (m measurer) cheapest() Estimate {
	best := make([]step, len(m.text)+1)
	for i := range m.text {
		best[i+1] = step{best[i].bits + m.single(i), i, "characters"}
		for j := max(0, i-40); j <= i; j++ {
			if bits, kind := m.piece(j, i+1, best); kind != "" && best[j].bits+bits < best[i+1].bits {
				best[i+1] = step{best[j].bits + bits, j, kind}
			}
		}
	}
	return Estimate{best[len(m.text)].bits, why(best)}
}

// piece is what text[i:j] costs as a whole, "" if it is nothing known.
func (m measurer) piece(i, j int, best []step) (float64, string) {
	part := string(m.lower[i:j])
	if bits, known := m.dict[part]; known && j-i > 2 {
		if slices.Contains(words4(m.lower[:i]), part) {
			return againBits, "repeated words"
		}
		if !slices.Equal(m.text[i:j], m.lower[i:j]) {
			bits += caseBits
		}
		return bits, "known words"
	}
	if j-i >= 3 && isRun(m.lower[i:j]) {
		return m.single(i) + runBits, "runs"
	}
	if n := j - i; n >= 2 && n <= i && slices.Equal(m.lower[i:j], m.lower[i-n:i]) {
		return againBits, "repetitions"
	}
	if j-i == 4 && isYear(part) {
		return dateBits, "years"
	}
	return 0, ""
}

// words4 cuts the text before a piece into words, to see repetitions.
func words4(s []rune) []string {
	return strings.FieldsFunc(string(s), func(r rune) bool { return !unicode.IsLetter(r) })
}

// single is what one character costs. A separator is expected between words:
// only the first of its kind says something.
func (m measurer) single(i int) float64 {
	r := m.text[i]
	switch {
	case i > 0 && r == m.text[i-1]:
		return againBits / 2
	case r == ' ', strings.ContainsRune("-_.,", r) && slices.Contains(m.text[:i], r):
		return 0
	case strings.ContainsRune("-_.,", r):
		return glueBits
	}
	return m.char
}

func why(best []step) string {
	seen := map[string]bool{}
	var kinds []string
	for i := len(best) - 1; i > 0; i = best[i].from {
		if k := best[i].kind; !seen[k] {
			seen[k] = true
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return "nothing"
	}
	slices.Reverse(kinds)
	return strings.Join(kinds, ", ")
}

// charBits is what a character costs that belongs to nothing known: less than
// for a random one, because people prefer some.
func charBits(s []rune) float64 {
	var lower, upper, digit, other float64
	for _, r := range s {
		switch {
		case unicode.IsDigit(r):
			digit = 10
		case unicode.IsUpper(r):
			upper = 20
		case unicode.IsLower(r):
			lower = 16
		case !unicode.IsSpace(r):
			other = 16
		}
	}
	return math.Log2(max(2, lower+upper+digit+other))
}

// isRun reports whether all steps between the characters are equal and at
// most one, or whether they lie side by side on a keyboard.
func isRun(s []rune) bool {
	for _, row := range []string{"qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "1qaz2wsx3edc4rfv", "1234567890"} {
		if strings.Contains(row, string(s)) {
			return true
		}
	}
	d := s[1] - s[0]
	if d < -1 || d > 1 {
		return false
	}
	for i := 2; i < len(s); i++ {
		if s[i]-s[i-1] != d {
			return false
		}
	}
	return true
}

func isYear(s string) bool {
	return (strings.HasPrefix(s, "19") || strings.HasPrefix(s, "20")) && strings.Trim(s, "0123456789") == ""
}

// plainLetters undoes capitals and the usual digits for letters, one for one.
func plainLetters(s string) string {
	return strings.Map(func(r rune) rune {
		if i := strings.IndexRune("013457@$!", r); i >= 0 {
			return rune("oieastasi"[i])
		}
		return unicode.ToLower(r)
	}, s)
}

// dictionary is words and what each costs.
func dictionary(account string) map[string]float64 {
	d := map[string]float64{}
	for _, w := range words.List() {
		d[w] = dictBits
	}
	for w := range strings.FieldsSeq("password passwort passwd secret admin root user login welcome letmein monkey dragon master sunshine princess football baseball shadow michael jennifer jordan superman batman trustno iloveyou love hello freedom whatever starwars cipherdeck coretex correct horse battery staple test changeme default qwerty") {
		d[plainLetters(w)] = topBits
	}
	for _, n := range strings.FieldsFunc(plainLetters(account), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		d[n] = nameBits
	}
	return d
}
