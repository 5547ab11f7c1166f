package dataset

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// isEmail reports whether s has the shape local@host.tld.
func isEmail(s string) bool {
	local, host, ok := strings.Cut(s, "@")
	dot := strings.LastIndexByte(host, '.')
	return ok && local != "" && dot > 0 && len(host)-dot > 2 && len(s) <= 254 &&
		!strings.ContainsAny(s, " \t,;<>\"") && !strings.Contains(host, "@")
}

// isIBAN checks length and the remainder by 97 (ISO 13616, ISO 7064 MOD 97-10).
func isIBAN(s string) bool {
	s = strings.ReplaceAll(s, " ", "")
	if len(s) < 15 || len(s) > 34 || !letter(s[0]) || !letter(s[1]) {
		return false
	}
	rest := 0
	for i := range len(s) {
		switch c := s[(i+4)%len(s)]; {
		case c >= '0' && c <= '9':
			rest = (rest*10 + int(c-'0')) % 97
		case letter(c):
			rest = (rest*100 + int(c-'A') + 10) % 97
		default:
			return false
		}
	}
	return rest == 1
}

func letter(c byte) bool { return c >= 'A' && c <= 'Z' }

// isCard checks length and Luhn's sum of a payment card (ISO/IEC 7812).
func isCard(s string) bool {
	sum, n := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		switch c := s[i]; {
		case c == ' ' || c == '-':
			continue
		case c < '0' || c > '9':
			return false
		default:
			d := int(c - '0')
			if n++; n%2 == 0 {
				d *= 2
			}
			sum += d/10 + d%10
		}
	}
	return n >= 13 && n <= 19 && sum > 0 && sum%10 == 0
}

// isPhone wants 7 to 15 digits (ITU-T E.164) that do not look like a number:
// a leading + or 0, or something between them.
func isPhone(s string) bool {
	n, marks := 0, 0
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9':
			n++
		case c == '+' && i == 0:
			marks++
		case strings.ContainsRune(" -/().", c):
			marks++
		default:
			return false
		}
	}
	return n >= 7 && n <= 15 && (marks > 0 || s[0] == '0') && !isAddressIPv4(s)
}

func isAddressIPv4(s string) bool {
	return strings.Count(s, ".") == 3 && !strings.ContainsAny(s, " -/()+")
}

// isUKPostcode accepts the shape of SW1A 1AA. Codes of digits alone are only
// known by the name of their column.
func isUKPostcode(s string) bool {
	out, in, ok := strings.Cut(s, " ")
	return ok && len(out) >= 2 && len(out) <= 4 && len(in) == 3 && letter(out[0]) && strings.ContainsAny(out, "0123456789") &&
		in[0] >= '0' && in[0] <= '9' && letter(in[1]) && letter(in[2])
}

// isPersonName accepts two to four words that begin with a capital.
func isPersonName(s string) bool {
	words := strings.Fields(s)
	if len(words) < 2 || len(words) > 4 {
		return false
	}
	for _, w := range words {
		first, _ := utf8.DecodeRuneInString(w)
		if !unicode.IsUpper(first) || strings.ContainsFunc(w, notInName) {
			return false
		}
	}
	return true
}

func notInName(r rune) bool { return !unicode.IsLetter(r) && !strings.ContainsRune("-'’.", r) }

// isFreeText reports sentences: six words a cell on average.
func isFreeText(cells []string) bool {
	words := 0
	for _, c := range cells {
		words += len(strings.Fields(c))
	}
	return words >= 6*len(cells)
}
