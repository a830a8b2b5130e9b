// What makes predictions nicer than a list of things to unfold. Without it they still unfold.
(() => {
    'use strict';

    // A choice that was made shows what happens, below it; and one choice is open at a time.
    const choose = (predict, choice) => {
        for (const other of predict.querySelectorAll('.lab-choice')) {
            if (other !== choice) {
                other.open = false;
            }
        }
        if (choice.classList.contains('lab-right')) {
            predict.querySelector('.lab-reveal').open = true;
        }
    };

    for (const predict of document.querySelectorAll('.lab-predict')) {
        for (const choice of predict.querySelectorAll('.lab-choice')) {
            choice.addEventListener('toggle', () => {
                if (choice.open) {
                    choose(predict, choice);
                }
            });
        }
    }
})();
