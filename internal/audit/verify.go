package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLine is the longest line that Verify reads, in bytes. The longest that is written is a few KiB.
const maxLine = 1 << 20

// maxBreaks is how many breaks are reported.
const maxBreaks = 20

// Report is what Verify found.
type Report struct {
	Files, Lines int
	First, Last  uint64 // the numbers of the first and the last line
	Head         string // the hash of the last line
	Breaks       []Break
}

// Break is a place where the chain does not hold.
type Break struct {
	File string `json:"file"`
	Line int    `json:"line"` // counts from 1; 0: the file as a whole
	What string `json:"what"`
}

// Sound reports whether nothing was found.
func (r *Report) Sound() bool { return len(r.Breaks) == 0 }

// Verify checks the chain through the files in this order, each from its first line to its last. The first line may have
// any number: what came before it may have been deleted, as old files are. Head, where it is not empty, is the hash of a
// line that must be there, as the process's log told it. The error is of reading, not of what was read.
func Verify(files []string, head string) (*Report, error) {
	v := verifier{report: &Report{}, head: head, found: head == ""}
	for _, name := range files {
		if err := v.file(name); err != nil {
			return nil, err
		}
	}
	if !v.found {
		v.broken(Break{What: "no line has the hash " + head + ": lines were cut off, or the chain was made anew"})
	}
	return v.report, nil
}

type verifier struct {
	report *Report
	last   *link // nil: none yet
	head   string
	found  bool
}

func (v *verifier) broken(b Break) {
	if len(v.report.Breaks) < maxBreaks {
		v.report.Breaks = append(v.report.Breaks, b)
	}
}

func (v *verifier) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	v.report.Files++
	in := bufio.NewReaderSize(f, maxLine)
	for number := 1; ; number++ {
		text, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(text) == 0:
			return nil
		case errors.Is(err, io.EOF):
			v.broken(Break{name, number, "the last line is not whole: a crash cut it off, or it is being written just now"})
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			v.broken(Break{name, number, "the line is longer than any that Gatehouse writes; the rest of the file was not read"})
			return nil
		case err != nil:
			return err
		}
		v.line(name, number, text[:len(text)-1])
	}
}

func (v *verifier) line(name string, number int, text []byte) {
	v.report.Lines++
	l, err := read(text)
	if err != nil {
		v.broken(Break{name, number, err.Error()})
		v.last = nil // the next line is judged by itself
		return
	}
	if v.report.First == 0 {
		v.report.First = l.seq
	}
	v.report.Last, v.report.Head = l.seq, l.hash
	v.found = v.found || l.hash == v.head
	switch {
	case v.last == nil && l.seq == 1 && l.prev != zero:
		v.broken(Break{name, number, "it says that it is the first line ever, and names one before it"})
	case v.last == nil:
	case l.prev != v.last.hash:
		v.broken(Break{name, number, fmt.Sprintf("seq %d does not follow seq %d, the line before: lines were taken out, put in or changed, or a new chain begins", l.seq, v.last.seq)})
	case l.seq != v.last.seq+1:
		v.broken(Break{name, number, fmt.Sprintf("seq %d follows seq %d", l.seq, v.last.seq)})
	}
	v.last = &l
}
