// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Registers of eBPF: the result, arguments of calls, what calls leave alone, and the stack's end.
const (
	r0 = iota
	r1
	r2
	r3
	r4
	r5
	r6
	r7
	r8
	_
	r10
)

// Operations of eBPF that we use. (Linux, Documentation/bpf/standardization/instruction-set.rst.)
const (
	opMove       = 0xbf // registers
	opMoveValue  = 0xb7
	opAddValue   = 0x07
	opAndWord    = 0x54
	opLoadWord   = 0x61
	opLoadHalf   = 0x69
	opLoadByte   = 0x71
	opStoreWord  = 0x62 // a value
	opStoreByte  = 0x73 // a register
	opIfEqual    = 0x15
	opIfNotEqual = 0x55
	opIfNotWord  = 0x56 // 32 bits differ
	opIfAny      = 0x45 // bits
	opGoto       = 0x05
	opCall       = 0x85
	opExit       = 0x95
)

// Functions that all programs of traffic control may call: BPF_FUNC_.
const (
	callLoadBytes = 26
	callPullData  = 39
)

// instruction of eBPF.
type instruction struct {
	operation, registers byte
	offset               int16
	value                int32
}

// assembly is a program of eBPF that is being written.
type assembly struct {
	list   []instruction
	labels map[string]int
	jumps  map[int]string // by the instruction's place
}

func newAssembly() *assembly {
	return &assembly{labels: map[string]int{}, jumps: map[int]string{}}
}

func (a *assembly) add(operation, target, source byte, offset int16, value int32) {
	a.list = append(a.list, instruction{operation, target | source<<4, offset, value})
}

// set gives registers values.
func (a *assembly) set(register byte, value int32) { a.add(opMoveValue, register, 0, 0, value) }

// stack makes a register point to an offset in the stack, which is negative.
func (a *assembly) stack(register byte, offset int32) {
	a.add(opMove, register, r10, 0, 0)
	a.add(opAddValue, register, 0, 0, offset)
}

func (a *assembly) call(function int32) { a.add(opCall, 0, 0, 0, function) }

// callKernel calls a function of the kernel itself, or of the module whose types are the program's only ones.
func (a *assembly) callKernel(f kernelFunction) {
	const kernel = 2 // BPF_PSEUDO_KFUNC_CALL
	a.add(opCall, 0, kernel, f.types, int32(f.id))
}

// jump goes to a label if the condition holds.
func (a *assembly) jump(operation, register byte, value int32, label string) {
	a.jumps[len(a.list)] = label
	a.add(operation, register, 0, 0, value)
}

func (a *assembly) label(name string) { a.labels[name] = len(a.list) }

// bytes of the program.
func (a *assembly) bytes() ([]byte, error) {
	var data []byte
	for i, n := range a.list {
		if label, ok := a.jumps[i]; ok {
			distance := a.labels[label] - i - 1
			if distance != int(int16(distance)) {
				return nil, fmt.Errorf("a jump of %d instructions is too far", distance)
			}
			n.offset = int16(distance)
		}
		data = append(data, n.operation, n.registers)
		data = binary.NativeEndian.AppendUint16(data, uint16(n.offset))
		data = binary.NativeEndian.AppendUint32(data, uint32(n.value))
	}
	return data, nil
}

// network is the value that a program sees when it loads what is in a frame in the network's order.
func network16(n uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n)))
}

// loadProgram has the kernel check a program for traffic control, and returns its descriptor, which the caller closes. Types are the descriptor of those of
// the module whose functions it calls; 0 if it calls none.
func loadProgram(program []byte, types int) (int, error) {
	const (
		trafficControl = 3 // BPF_PROG_TYPE_SCHED_CLS
		size           = 8 // of an instruction
	)
	// The kernel insists on a licence that goes with the GPL, for what calls its functions. This program is offered under that, too.
	licence := []byte("Dual BSD/GPL\x00")
	descriptors := []int32{0, int32(types)}
	var pins runtime.Pinner
	defer pins.Unpin()
	attributes := struct {
		kind, count           uint32
		instructions, licence uint64
		logLevel, logSize     uint32
		log                   uint64
		version, flags        uint32
		name                  [16]byte
		device, attachment    uint32
		types, functionSize   uint32
		functions             uint64
		functionCount         uint32
		lineSize              uint32
		lines                 uint64
		lineCount             uint32
		attachmentType        uint32
		attachmentProgram     uint32
		coreCount             uint32
		descriptors           uint64
	}{
		kind: trafficControl, count: uint32(len(program) / size), instructions: pin(&pins, &program[0]), licence: pin(&pins, &licence[0]),
		descriptors: pin(&pins, &descriptors[0]),
	}
	copy(attributes.name[:], "underlay") // as lists of programs show it
	fd, err := callBPF(unix.BPF_PROG_LOAD, unsafe.Pointer(&attributes), unsafe.Sizeof(attributes))
	if err != nil {
		// Again, to hear why.
		log := make([]byte, 64<<10)
		attributes.logLevel, attributes.logSize, attributes.log = 1, uint32(len(log)), pin(&pins, &log[0])
		_, _ = callBPF(unix.BPF_PROG_LOAD, unsafe.Pointer(&attributes), unsafe.Sizeof(attributes))
		err = fmt.Errorf("%w%s", err, complaint(log))
	}
	return fd, err
}

// complaint is the last line that the kernel has to say of a program itself.
func complaint(log []byte) string {
	text, _, _ := bytes.Cut(log, []byte{0})
	for _, line := range slices.Backward(bytes.Split(text, []byte("\n"))) {
		if len(line) > 0 && !bytes.HasPrefix(line, []byte("processed ")) && !bytes.HasPrefix(line, []byte("verification time")) {
			return fmt.Sprintf(" (%s)", line)
		}
	}
	return ""
}

// pin gives the address of what the kernel reads or writes by it; it stays there until the pins are taken out.
func pin[T any](pins *runtime.Pinner, p *T) uint64 {
	pins.Pin(p)
	return uint64(uintptr(unsafe.Pointer(p)))
}
