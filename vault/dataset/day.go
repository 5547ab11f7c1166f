package dataset

import "fmt"

// Day is a date of the Gregorian calendar.
type Day struct{ Year, Month, Day int }

// String writes d as ISO 8601, 2024-05-31.
func (d Day) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// ParseDay reads the date at the front of s: 2024-05-31 or 2024/05/31, and, day
// first, 31.05.2024 and 31/05/2024. With order "mdy" the last form is month
// first; with order "" it is accepted if either reading is a date, so that
// types can be guessed. What follows may only be a time of day.
func ParseDay(s string, order string) (Day, bool) {
	var d Day
	var ok bool
	rest := ""
	switch {
	case len(s) >= 10 && (s[4] == '-' || s[4] == '/') && s[7] == s[4]:
		d, ok = day(s[0:4], s[5:7], s[8:10])
		rest = s[10:]
	case len(s) >= 8 && s[0] >= '0' && s[0] <= '9':
		d, rest, ok = dayFirst(s, order)
	}
	return d, ok && timeOfDay(rest)
}

// dayFirst reads d.m.yyyy and d/m/yyyy with one or two digits.
func dayFirst(s, order string) (Day, string, bool) {
	i := 1
	if s[1] >= '0' && s[1] <= '9' {
		i = 2
	}
	sep := s[i]
	if sep != '.' && sep != '/' || i+2 >= len(s) {
		return Day{}, "", false
	}
	j := i + 2
	if s[j] != sep {
		j++
	}
	if len(s) < j+5 || s[j] != sep {
		return Day{}, "", false
	}
	first, second, year := s[:i], s[i+1:j], s[j+1:j+5]
	if sep == '/' && order == "mdy" {
		first, second = second, first
	}
	d, ok := day(year, second, first)
	if !ok && sep == '/' && order == "" {
		d, ok = day(year, first, second)
	}
	return d, s[j+5:], ok
}

func day(year, month, d string) (Day, bool) {
	y, a := digits(year)
	m, b := digits(month)
	dd, c := digits(d)
	if !a || !b || !c || m < 1 || m > 12 || dd < 1 || dd > daysIn(y, m) {
		return Day{}, false
	}
	return Day{y, m, dd}, true
}

func daysIn(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func digits(s string) (int, bool) {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, len(s) > 0
}

// timeOfDay accepts nothing, or T or a space before digits and what stands
// between them in ISO 8601.
func timeOfDay(s string) bool {
	if s == "" {
		return true
	}
	if len(s) < 5 || s[0] != 'T' && s[0] != ' ' {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == ':', c == '.', c == '+', c == '-', c == 'Z' && i == len(s)-1:
		default:
			return false
		}
	}
	return true
}
