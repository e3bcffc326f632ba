package mlc.sample

import android.app.Activity
import android.os.Bundle
import android.view.ViewGroup
import android.widget.TextView
import mlc.bindings.CaseResult
import mlc.bindings.ModelDescription

/** Runs the golden cases of the model in use on this device, and says of each whether it passed. */
class SelfTestActivity : Activity() {
    private val models get() = (application as SampleApp).models
    private lateinit var summary: TextView
    private lateinit var cases: ViewGroup

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_self_test)
        summary = findViewById(R.id.summary)
        cases = findViewById(R.id.cases)
        models.ask({ it.selfTest() to it.about }) { result ->
            result.onSuccess { (results, about) -> show(results, about) }
            result.onFailure { summary.text = getString(R.string.model_failed, it.message ?: it.toString()) }
        }
    }

    private fun show(results: List<CaseResult>, about: ModelDescription) {
        val passed = results.count { it.passed }
        summary.text =
            if (results.isEmpty()) getString(R.string.self_test_none)
            else resources.getQuantityString(
                R.plurals.self_test_result, results.size, passed, results.size, about.name, about.version,
            )
        results.forEach(::add)
    }

    private fun add(case: CaseResult) {
        layoutInflater.inflate(R.layout.row_case, cases)
        val row = cases.getChildAt(cases.childCount - 1)
        val (verdict, color) =
            if (case.passed) R.string.case_passed to R.color.passed else R.string.case_failed to R.color.failed
        row.findViewById<TextView>(R.id.verdict).apply {
            text = getString(verdict, case.name)
            setTextColor(getColor(color))
        }
        row.findViewById<TextView>(R.id.details).text = details(case)
    }

    private fun details(case: CaseResult): String {
        val lines = mutableListOf<String>()
        case.reason.ifEmpty { null }?.let(lines::add)
        case.pixelError?.let { lines += getString(R.string.case_pixels, it) }
        case.outputs.mapTo(lines) { getString(R.string.case_output, it.name, it.error, it.tolerance) }
        case.got?.let { lines += getString(R.string.case_answer, it, case.expected) }
        return lines.joinToString("\n")
    }
}
